"""Facts and answers in, a plan out: pure, and shown before anything is done."""
