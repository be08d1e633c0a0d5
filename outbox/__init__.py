"""The engine: what is queued is claimed, built, sent and read back.

Plain functions and classes around an environment, without models of their own.
``sender`` and ``verifier`` are what the scheduled actions run; each kind of request
has a file that claims and builds it.
"""
