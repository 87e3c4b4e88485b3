"""Entry of ``pulumi up``: declares the platform or a cell, as the stack's name says."""

import pulumi

from stacks.program import program

pulumi.run(program)
