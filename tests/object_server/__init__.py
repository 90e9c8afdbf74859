"""A small S3 over plain HTTP in a process of its own, with a wait before every answer and faults at will.

It checks no signature and is quick, so that a bench sees its clients; what fails, when and how often is a knob.
"""
