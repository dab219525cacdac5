"""kvmwizard: takes a Linux machine to a proven KVM host.

The engine: reads a machine, judges it, asks what the person wants, lists what
it will do, does it, and proves that guests run. The Textual front end is the
package `screens`; nothing in here imports it except `kvmwizard.commands.wizard`,
inside the function that opens the wizard.
"""

__version__ = "0.1.0"
