"""What runs an OpenEvolve task: one file in the evaluator's process, the others beside the program."""
