"""Carries a plan out: journal, scheduler, the detached runner and its root helper, undo."""
