# The disk that proves that a guest boots: one sector, 512 bytes.
#
# The firmware loads it to 0x7c00 and jumps there in real mode. It writes a line
# to the first serial port and powers off:
#   - by QEMU's isa-debug-exit device at port 0xf4: QEMU ends with 33, which is
#     (0x10 << 1) | 1;
#   - without that device nothing answers there, and it asks the keyboard
#     controller for a reset: under -no-reboot QEMU ends with 0.
#
# To build boot.img from it:
#   as --32 -o boot.o boot.s
#   ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o boot.img boot.o

        .set    SERIAL_DATA, 0x3f8
        .set    SERIAL_STATUS, 0x3fd
        .set    TRANSMITTER_EMPTY, 0x20
        .set    DEBUG_EXIT, 0xf4
        .set    DEBUG_EXIT_VALUE, 0x10
        .set    KEYBOARD_COMMAND, 0x64
        .set    PULSE_RESET_LINE, 0xfe

        .code16
        .text
        .globl  _start
_start:
        cli
        # Some firmware jumps to 07c0:0000; the labels count from segment 0.
        ljmp    $0, $begin
begin:
        xorw    %ax, %ax
        movw    %ax, %ds
        cld
        movw    $line, %si
        movw    $(line_end - line), %cx

next_byte:
        movw    $SERIAL_STATUS, %dx
wait_for_port:
        inb     %dx, %al
        testb   $TRANSMITTER_EMPTY, %al
        jz      wait_for_port
        lodsb
        movw    $SERIAL_DATA, %dx
        outb    %al, %dx
        loop    next_byte

        movb    $DEBUG_EXIT_VALUE, %al
        outb    %al, $DEBUG_EXIT
        movb    $PULSE_RESET_LINE, %al
        outb    %al, $KEYBOARD_COMMAND
stop:
        hlt
        jmp     stop

line:
        .ascii  "kvmwizard: a guest has booted\r\n"
line_end:

        # What tells the firmware that this sector can be booted.
        .org    510
        .byte   0x55, 0xaa
