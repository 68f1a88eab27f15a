"""Where trials run.

They run in processes of this machine, on Ray, or in this process.

Trials come in. Outcomes go out, in the order in which trials end.
"""
