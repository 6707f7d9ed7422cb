@ RP2040's second boot stage: makes the QSPI flash readable as memory, four bits wide, then starts the program behind it.
@
@ The boot ROM copies the flash's first 256 bytes to 0x20041f00 and calls them when the CRC in the last four is right
@ (RP2040 data sheet, sections 2.7 and 2.8.1.3.1). It reads by command 0xEB in continuous read mode, as Winbond's W25Q16JV
@ of the Raspberry Pi Pico and most others understand it (W25Q16JV data sheet, section 8.2.12); such chips need their
@ "quad enable" bit for it, which is set here once and for all where it is not.
@
@ This file is the source of firmware/ports/rp2040_boot2.h: python -m quantmcu.build.boot2
        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .equ    PADS_QSPI, 0x40020000
        .equ    PAD_SCLK, 0x04
        .equ    PAD_SD0, 0x08
        .equ    PAD_FAST_8MA, 0x21              @ SCLK: 8 mA, fast slew
        .equ    PAD_SCHMITT, 0x02

        .equ    SSI, 0x18000000                 @ section 4.10.13
        .equ    CTRLR0, 0x00
        .equ    CTRLR1, 0x04
        .equ    SSIENR, 0x08
        .equ    BAUDR, 0x14
        .equ    SR, 0x28
        .equ    DR0, 0x60
        .equ    RX_SAMPLE_DLY, 0xf0
        .equ    SPI_CTRLR0, 0xf4
        .equ    SR_BUSY, 0x01
        .equ    SR_TRANSMIT_EMPTY, 0x04

        .equ    CLOCK_DIVIDER, 2                @ 62.5 MHz at 125 MHz
        .equ    CTRLR0_BYTES, 7 << 16           @ frames of 8 bits, one wire, transmit and receive
        .equ    CTRLR0_QUAD_READ, 2 << 21 | 31 << 16 | 3 << 8  @ frames of 32 bits, four wires, read after an address
        .equ    ADDRESS_AND_MODE, 8 << 2        @ 32 bits, in units of four
        .equ    WAIT, 4 << 11                   @ clocks between the mode bits and the data
        .equ    COMMAND_SERIAL, 2 << 8 | 1      @ a command of 8 bits on one wire, the address on four
        .equ    NO_COMMAND, 2                   @ the address on four wires
        .equ    CONTINUOUS, 0xa0                @ mode bits: the next read comes without a command

        .equ    READ_QUAD, 0xeb
        .equ    WRITE_ENABLE, 0x06
        .equ    WRITE_STATUS, 0x01
        .equ    READ_STATUS_1, 0x05
        .equ    READ_STATUS_2, 0x35
        .equ    STATUS_1_BUSY, 0x01
        .equ    STATUS_2_QUAD_ENABLE, 0x02

        .equ    PROGRAM, 0x10000100
        .equ    VTOR, 0xe000ed08

        .section .boot2, "ax"
        .global boot2
        .thumb_func
boot2:
        push    {lr}                            @ zero when the boot ROM calls; a program may call again to restore reads
        ldr     r0, =PADS_QSPI
        movs    r1, #PAD_FAST_8MA
        str     r1, [r0, #PAD_SCLK]
        movs    r2, #PAD_SCHMITT                @ off on the data wires: less delay
        adds    r0, #PAD_SD0
        movs    r3, #4
next_pad:
        ldr     r1, [r0]
        bics    r1, r2
        stm     r0!, {r1}
        subs    r3, #1
        bne     next_pad

        ldr     r4, =SSI
        bl      disable
        movs    r0, #CLOCK_DIVIDER
        str     r0, [r4, #BAUDR]
        movs    r5, r4
        adds    r5, #RX_SAMPLE_DLY
        movs    r0, #1
        str     r0, [r5]

        ldr     r0, =CTRLR0_BYTES
        str     r0, [r4, #CTRLR0]
        bl      enable
        movs    r0, #READ_STATUS_2
        bl      read_status
        movs    r6, #STATUS_2_QUAD_ENABLE
        tst     r0, r6
        bne     quad_enabled
        movs    r0, #WRITE_ENABLE
        bl      exchange
        movs    r0, #WRITE_STATUS               @ followed by status 1 and status 2
        str     r0, [r4, #DR0]
        movs    r0, #0
        str     r0, [r4, #DR0]
        movs    r0, r6
        bl      exchange
        ldr     r0, [r4, #DR0]
        ldr     r0, [r4, #DR0]
writing:
        movs    r0, #READ_STATUS_1
        bl      read_status
        lsrs    r0, r0, #1                      @ STATUS_1_BUSY
        bcs     writing
quad_enabled:

        bl      disable
        ldr     r0, =CTRLR0_QUAD_READ
        str     r0, [r4, #CTRLR0]
        movs    r0, #0
        str     r0, [r4, #CTRLR1]               @ one frame a read
        ldr     r0, =COMMAND_SERIAL | ADDRESS_AND_MODE | WAIT
        str     r0, [r5, #(SPI_CTRLR0 - RX_SAMPLE_DLY)]
        bl      enable
        movs    r0, #READ_QUAD                  @ one read with command switches the flash to continuous mode
        str     r0, [r4, #DR0]
        movs    r0, #CONTINUOUS                 @ address 0 and mode bits
        str     r0, [r4, #DR0]
        bl      finish
        bl      disable
        ldr     r0, =CONTINUOUS << 24 | NO_COMMAND | ADDRESS_AND_MODE | WAIT
        str     r0, [r5, #(SPI_CTRLR0 - RX_SAMPLE_DLY)]
        bl      enable

        pop     {r0}
        cmp     r0, #0
        beq     start
        bx      r0
start:
        ldr     r0, =PROGRAM
        ldr     r1, =VTOR
        str     r0, [r1]
        ldm     r0!, {r1, r2}
        msr     msp, r1
        bx      r2

disable:
        movs    r0, #0
        b       set_enable
enable:
        movs    r0, #1
set_enable:
        str     r0, [r4, #SSIENR]
        bx      lr

@ Sends the command in r0 and a byte, gives the byte that came back with the latter.
read_status:
        mov     r7, lr
        str     r0, [r4, #DR0]
        bl      exchange
        ldr     r0, [r4, #DR0]
        bx      r7

@ Sends the byte in r0, waits, gives the first byte received.
exchange:
        str     r0, [r4, #DR0]
        mov     r3, lr
        bl      finish
        ldr     r0, [r4, #DR0]
        bx      r3

@ Until everything has been sent.
finish:
        ldr     r0, [r4, #SR]
        movs    r1, #(SR_BUSY | SR_TRANSMIT_EMPTY)
        ands    r0, r1
        cmp     r0, #SR_TRANSMIT_EMPTY
        bne     finish
        bx      lr

        .ltorg
