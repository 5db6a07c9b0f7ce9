"""The rules of the submission check, one module for each kind of subject.

A rule is a function from its subject to the problems that it has with it; ``finding.judge`` applies a table of them.
"""
