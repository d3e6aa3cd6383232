"""What runs programs: a supervisor and the processes that it starts. Standard library only; never imports
guided_evolution.

The folder is run, not imported: `python sandbox/__main__.py` starts a supervisor on its standard input and output.
Frames and messages are described in frames.py and runner.py, who is to blame for what in blame.py.
"""
