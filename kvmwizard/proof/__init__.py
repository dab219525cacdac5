"""Shows that guests run: by our own few instructions, by QEMU without KVM and with it."""
