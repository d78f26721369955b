/* Shows what keyboard and mouse send, on COM1: two hexadecimal digits and a space for each byte; keys as set 1 has them, an m before
 * the mouse's. */
#include "pm32.inc"

start:
    movb $0x60, %ah                     /* the controller's command byte: translation, no interrupts */
    call command
    movb $0x40, %ah
    call data
    movb $0xae, %ah
    call command
    movb $0xf4, %ah                     /* to the keyboard: scan */
    call data
    call acknowledged
    movb $0xa8, %ah
    call command
    movb $0xd4, %ah                     /* to the mouse: report */
    call command
    movb $0xf4, %ah
    call data
    call acknowledged
    PUTS "ready\n"
next:
    inb $0x64, %al
    testb $1, %al
    jz next
    testb $0x20, %al
    jz 1f
    movb $'m', %al
    call putc
1:  inb $0x60, %al
    pushl %eax
    shrb $4, %al
    call digit
    popl %eax
    andb $15, %al
    call digit
    movb $' ', %al
    call putc
    jmp next

digit:
    addb $'0', %al
    cmpb $'9', %al
    jbe putc
    addb $'a' - '0' - 10, %al
    jmp putc

acknowledged:
    inb $0x64, %al
    testb $1, %al
    jz acknowledged
    inb $0x60, %al
    ret

command:
    call wait
    movb %ah, %al
    outb %al, $0x64
    ret
data:
    call wait
    movb %ah, %al
    outb %al, $0x60
    ret
wait:
    inb $0x64, %al
    testb $2, %al
    jnz wait
    ret
