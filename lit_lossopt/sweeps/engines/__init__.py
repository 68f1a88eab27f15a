"""Where trials run: processes of this machine, Ray, or this process.

Trials come in. Outcomes go out, in the order in which trials end.
"""
