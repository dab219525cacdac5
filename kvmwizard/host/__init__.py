"""Reads the machine: one file a subject, each giving one model; never judges, never writes."""
