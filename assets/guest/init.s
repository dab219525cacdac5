# The one program of the initramfs with which a built kernel is tried as a guest.
#
# The kernel runs it as process 1, its standard output being the console. It opens
# nothing: it asks the kernel for its release (uname(2)), writes a line with it,
# waits until that has left the serial port (tcdrain(3)), and restarts the machine
# (reboot(2)). QEMU ends there under -no-reboot. Restarting rather than switching off,
# since a kernel without ACPI can do that too.
#
# The file's head is written out here, so that every linker makes the same bytes.
#
# To build init from it:
#   as --64 -o init.o init.s
#   ld -m elf_x86_64 -Ttext 0x400000 --oformat binary -o init init.o

        .set    BASE, 0x400000
        .set    SYS_WRITE, 1
        .set    SYS_IOCTL, 16
        .set    SYS_PAUSE, 34
        .set    SYS_UNAME, 63
        .set    SYS_REBOOT, 169
        .set    CONSOLE, 1
        .set    TCSBRK, 0x5409
        .set    LINUX_REBOOT_MAGIC1, 0xfee1dead
        .set    LINUX_REBOOT_MAGIC2, 672274793
        .set    LINUX_REBOOT_CMD_RESTART, 0x01234567
        # struct new_utsname: six texts of 65 bytes; the release is the third.
        .set    UTSNAME_BYTES, 6 * 65
        .set    RELEASE, 2 * 65
        .set    LINE_BYTES, 128

        .text
        .globl  _start
        # ELF header (elf(5)): a static program for x86-64.
head:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0
        .quad   0
        .word   2, 62
        .long   1
        .quad   _start, segment - head, 0
        .long   0
        .word   64, 56, 1, 0, 0, 0
        # One segment, readable and executable; the stack is all that is written to.
segment:
        .long   1, 5
        .quad   0, BASE, BASE, end - head, end - head, 0x1000

_start:
        subq    $(UTSNAME_BYTES + LINE_BYTES + 10), %rsp
        leaq    LINE_BYTES(%rsp), %rdi
        movl    $SYS_UNAME, %eax
        syscall

        # The line: what it says, the release, a new line.
        cld
        movq    %rsp, %rdi
        leaq    words(%rip), %rsi
        movl    $(words_end - words), %ecx
        rep movsb
        leaq    (LINE_BYTES + RELEASE)(%rsp), %rsi
next_byte:
        lodsb
        testb   %al, %al
        jz      whole
        stosb
        jmp     next_byte
whole:
        movb    $'\n', %al
        stosb

        movq    %rdi, %rdx
        subq    %rsp, %rdx
        movq    %rsp, %rsi
        movl    $CONSOLE, %edi
        movl    $SYS_WRITE, %eax
        syscall

        movl    $CONSOLE, %edi
        movl    $TCSBRK, %esi
        movl    $1, %edx
        movl    $SYS_IOCTL, %eax
        syscall

        movl    $LINUX_REBOOT_MAGIC1, %edi
        movl    $LINUX_REBOOT_MAGIC2, %esi
        movl    $LINUX_REBOOT_CMD_RESTART, %edx
        movl    $SYS_REBOOT, %eax
        syscall
stop:
        movl    $SYS_PAUSE, %eax
        syscall
        jmp     stop

        # Begins on a line of its own, whatever the kernel printed last.
words:
        .ascii  "\nkvmwizard: this kernel runs programs, and is Linux "
words_end:
end:
