"""What the gateway and the worker both need, and nothing else."""
