/*
 * Draws on a standard VGA (00:02.0) when told to, by a byte on COM1; answers with the same byte in capitals.
 *
 *   v   VBE, 640x480, 32 bits        l   the next line of it, through the linear frame buffer
 *   c   320x200, 256 colours         d   the next line of it, at A0000 (chain 4: plain memory)
 *   p   640x480, 16 colours          q   the next line of it, at A0000 (planes: each write an exit)
 *   t   80x25 text                   u   the next character of it, at B8000
 */
#include "pm32.inc"

#define LFB 0xe0000000

.macro PAIR port, index, value
    movw $\port, %dx
    movw $(\index | \value << 8), %ax
    outw %ax, %dx
.endm
.macro VBE index, value
    movw $0x1ce, %dx
    movw $\index, %ax
    outw %ax, %dx
    movw $0x1d0, %dx
    movw $\value, %ax
    outw %ax, %dx
.endm

start:
    movl $0x80001010, %eax              /* BAR 0, and memory decoding */
    call config
    movl $LFB, %eax
    outl %eax, %dx
    movl $0x80001004, %eax
    call config
    movl $7, %eax
    outl %eax, %dx
    movw $0x3c2, %dx
    movb $0x67, %al
    outb %al, %dx
    call palette
    PUTS "ready\n"
next:
    movw $COM1 + 5, %dx
1:  inb %dx, %al
    testb $1, %al
    jz 1b
    movw $COM1, %dx
    inb %dx, %al
    movzbl %al, %ebx
    movl $commands, %esi
2:  lodsl
    testl %eax, %eax
    jz next
    movl %eax, %ecx
    lodsl
    cmpl %ecx, %ebx
    jne 2b
    pushl %ebx
    call *%eax
    popl %eax
    subb $0x20, %al
    call putc
    jmp next

commands:
    .long 'v', set_vbe, 'l', line_vbe, 'c', set_chain4, 'd', line_chain4
    .long 'p', set_planar, 'q', line_planar, 't', set_text, 'u', char_text, 0

config:
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    ret

/* Register pairs until index 0xff: esi, edx. */
pairs:
    lodsw
    cmpb $0xff, %al
    je 1f
    outw %ax, %dx
    jmp pairs
1:  ret

palette:
    movw $0x3c8, %dx
    xorl %eax, %eax
    outb %al, %dx
    incw %dx
    movl $768, %ecx
1:  outb %al, %dx
    addb $37, %al
    loop 1b
    movl $0x14, %ecx                    /* the attribute controller: 0-15 as they are */
2:  movw $0x3da, %dx
    inb %dx, %al
    movw $0x3c0, %dx
    movb %cl, %al
    outb %al, %dx
    movb attributes(%ecx), %al
    outb %al, %dx
    decl %ecx
    jns 2b
    ret

/* Ends each change of mode: video on, drawing begins anew. */
shown:
    movw $0x3da, %dx
    inb %dx, %al
    movw $0x3c0, %dx
    movb $0x20, %al
    outb %al, %dx
    movl $0, count
    ret

set_vbe:
    VBE 4, 0
    VBE 1, 640
    VBE 2, 480
    VBE 3, 32
    VBE 4, 0x41
    jmp shown

line_vbe:
    movl count, %eax
    imull $640 * 4, %eax, %edi
    addl $LFB, %edi
    imull $0x00030507, %eax, %eax
    addl $0x00402010, %eax
    movl $640, %ecx
1:  movl %eax, (%edi)
    addl $0x000101, %eax
    addl $4, %edi
    loop 1b
    incl count
    ret

set_chain4:
    VBE 4, 0
    movl $crtc_200, %esi
    movw $0x3d4, %dx
    call pairs
    movl $chain4, %esi
    jmp set_rest

set_planar:
    VBE 4, 0
    movl $crtc_480, %esi
    movw $0x3d4, %dx
    call pairs
    movl $planar, %esi
    jmp set_rest

set_text:
    VBE 4, 0
    movl $crtc_text, %esi
    movw $0x3d4, %dx
    call pairs
    movl $text, %esi
set_rest:
    movw $0x3c4, %dx
    call pairs
    movw $0x3ce, %dx
    call pairs
    jmp shown

line_chain4:
    movl count, %eax
    imull $320, %eax, %edi
    addl $0xa0000, %edi
    movl $320, %ecx
1:  movb %al, (%edi)
    incb %al
    incl %edi
    loop 1b
    incl count
    ret

line_planar:
    movl count, %eax
    imull $80, %eax, %edi
    addl $0xa0000, %edi
    movl $80, %ecx
1:  movb %al, %ah
    andb $0x0f, %ah                     /* set/reset: the colour */
    pushl %eax
    movb $0, %al
    movw $0x3ce, %dx
    outw %ax, %dx
    popl %eax
    movb %al, (%edi)
    incb %al
    incl %edi
    loop 1b
    incl count
    ret

char_text:
    movl count, %ecx
    leal 0xb8000(, %ecx, 2), %edi
    movb %cl, %al
    movb %cl, %ah
    xorb $0x5a, %ah
    movw %ax, (%edi)
    incl count
    ret

    .section .rodata
attributes:
    .byte 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0, 15, 0, 0
crtc_text:
    .byte 0x11, 0, 1, 79, 6, 0xbf, 7, 0x1f, 9, 0x4f, 10, 0x0d, 11, 0x0e, 12, 0, 13, 0, 14, 0, 15, 3, 0x12, 0x8f, 0x13, 40
    .byte 0x17, 0xa3, 0x18, 0xff, 0xff, 0
crtc_200:
    .byte 0x11, 0, 1, 79, 7, 0x1f, 9, 0x41, 12, 0, 13, 0, 0x12, 0x8f, 0x13, 40, 0x17, 0xa3, 0x18, 0xff, 0xff, 0
crtc_480:
    .byte 0x11, 0, 1, 79, 7, 0x3e, 9, 0x40, 12, 0, 13, 0, 0x12, 0xdf, 0x13, 40, 0x17, 0xe3, 0x18, 0xff, 0xff, 0
chain4:
    .byte 1, 1, 2, 15, 4, 0x0e, 0xff, 0, 5, 0x40, 6, 5, 0xff, 0
planar:
    .byte 1, 1, 2, 15, 4, 0x06, 0xff, 0, 0, 0, 1, 15, 3, 0, 5, 0, 6, 5, 8, 0xff, 0xff, 0
text:
    .byte 1, 1, 2, 3, 3, 0, 4, 2, 0xff, 0, 5, 0x10, 6, 0x0e, 8, 0xff, 0xff, 0
    .bss
count:
    .long 0
