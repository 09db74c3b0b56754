"""A Jupyter kernel whose cells run in an Everstep session: durable, and within a policy.

`kernel` is the kernel, `__main__` starts and installs it.
"""

__version__ = "0.1.0"
