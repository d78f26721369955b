/* Writes 0 to isa-debug-exit's port, over and over: saved without the device and restored with it, the program ends at the
 * first instruction. */
    .section .reset, "ax"
    .code16
    movw $0x501, %dx
    xorw %ax, %ax
1:  outb %al, %dx
    jmp 1b
