"""What the seeds allow to claim.

Measures of paired runs come in. Intervals, decisions and winners go out.
"""
