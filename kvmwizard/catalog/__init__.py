"""Which kernels and QEMUs there are, where they come from, and what this toolchain can build."""
