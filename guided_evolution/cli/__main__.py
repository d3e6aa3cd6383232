"""`python -m guided_evolution.cli`, where the scripts aren't on the path."""

from guided_evolution.cli import main

main()
