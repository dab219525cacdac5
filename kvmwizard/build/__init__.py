"""Carries out what builds kernels and QEMUs, as the builder; each module is a worker process."""
