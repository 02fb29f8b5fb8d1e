"""What the runners under tests/ share: set-up, processes, a private network.

Standard library only, so that a runner starts on any Python 3.11 before a
single package is installed.
"""
