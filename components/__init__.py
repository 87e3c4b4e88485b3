"""Pulumi component resources, one a file: how each piece of the estate is declared.

A component knows the SDKs and its arguments, never a configuration, a file, the environment or a
stack's name. Children take ``ResourceOptions(parent=self)``; ``opts`` goes to ``super().__init__`` only.
Where not to put code: choosing *what* to declare belongs to ``stacks/``, rules of the business to ``registry/``.
"""
