/*
 * The part of the DSDT that is the same for every machine of type pc: PCI root bus and its interrupt routing, hot-plug
 * registers, CPU hot-plug. acpi-dsdt.c appends what depends on the machine: CPUs, PCI slots, windows and ISA devices.
 *
 * Names and behaviour are those of QEMU's pc-i440fx-7.2. Registers: PCI hot-plug at 0xae00 (bus number, slots inserted
 * and removed, eject), CPU hot-plug at 0xaf00 (selector, flags, command, data).
 */
DefinitionBlock ("", "DSDT", 1, "BOCHS ", "BXPC    ", 1)
{
    External (\_SB.CPUS.CTFY, MethodObj)    // notify CPU Arg0 of Arg1
    External (\_SB.CPUS.CMAX, IntObj)       // number of possible CPUs

    Scope (\)
    {
        // The debug port of the firmware (-device isa-debugcon,iobase=0x402).
        OperationRegion (DBG, SystemIO, 0x0402, 1)
        Field (DBG, ByteAcc, NoLock, Preserve) { DBGB, 8 }

        // Prints Arg0 in hexadecimal, and a line end.
        Method (DBUG, 1)
        {
            Local0 = ToBuffer (ToHexString (Arg0))
            Local1 = 0
            While (Local1 < SizeOf (Local0) - 1)
            {
                DBGB = DerefOf (Local0 [Local1])
                Local1++
            }
            DBGB = 10
        }
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_ADR, 0)
            Name (_UID, 0)

            OperationRegion (PCST, SystemIO, 0xae00, 8)
            Field (PCST, DWordAcc, NoLock, WriteAsZeros)
            {
                PCIU, 32,       // slots of bus BNUM with a new device
                PCID, 32        // slots whose device is asked to go
            }
            OperationRegion (SEJ, SystemIO, 0xae08, 4)
            Field (SEJ, DWordAcc, NoLock, WriteAsZeros)
            {
                B0EJ, 32        // eject these slots
            }
            OperationRegion (BNMR, SystemIO, 0xae10, 8)
            Field (BNMR, DWordAcc, NoLock, WriteAsZeros)
            {
                BNUM, 32,       // bus that the registers are about
                PIDX, 32        // write: 1 << slot; read: its acpi-index
            }
            Mutex (BLCK, 0)

            // Ejects slot Arg1 of bus Arg0.
            Method (PCEJ, 2)
            {
                Acquire (BLCK, 0xffff)
                BNUM = Arg0
                B0EJ = 1 << Arg1
                Release (BLCK)
                Return (0)
            }

            // The acpi-index of slot Arg1 of bus Arg0: 0 or all ones when it has none.
            Method (AIDX, 2)
            {
                Acquire (BLCK, 0xffff)
                BNUM = Arg0
                PIDX = 1 << Arg1
                Local0 = PIDX
                Release (BLCK)
                Return (Local0)
            }

            // _DSM of a slot: UUID, revision, function, arguments, {bus, slot}. Function 7 names the device's index.
            Method (PDSM, 5, Serialized)
            {
                If (Arg2 == 0)
                {
                    Local0 = Buffer (1) { 0 }
                    If (Arg0 != ToUUID ("e5c937d0-3553-4d7a-9117-ea4d19c3434d") || Arg1 < 2)
                    {
                        Return (Local0)
                    }
                    Local1 = AIDX (DerefOf (Arg4 [0]), DerefOf (Arg4 [1]))
                    If (Local1 != 0 && Local1 != 0xffffffff)
                    {
                        Local0 [0] = 0x81       // functions 0 and 7
                    }
                    Return (Local0)
                }
                If (Arg2 == 7)
                {
                    Local0 = Package (2) {}
                    Local1 = AIDX (DerefOf (Arg4 [0]), DerefOf (Arg4 [1]))
                    If (Local1 != 0 && Local1 != 0xffffffff)
                    {
                        Local0 [0] = Local1
                        Local0 [1] = ""
                    }
                    Return (Local0)
                }
                Return (Buffer (1) { 0 })
            }

            // Pin p of slot s is wired to link (s + p - 1) & 3, but the PM function's (slot 1, pin A) to LNKS.
            Method (_PRT)
            {
                Local0 = Package (128) {}
                Local1 = 0
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local4 = (Local1 + Local2) & 3
                    If (Local1 == 4)
                    {
                        Local3 = Package (4) { 0, 0, LNKS, 0 }
                    }
                    ElseIf (Local4 == 0)
                    {
                        Local3 = Package (4) { 0, 0, LNKD, 0 }
                    }
                    ElseIf (Local4 == 1)
                    {
                        Local3 = Package (4) { 0, 0, LNKA, 0 }
                    }
                    ElseIf (Local4 == 2)
                    {
                        Local3 = Package (4) { 0, 0, LNKB, 0 }
                    }
                    Else
                    {
                        Local3 = Package (4) { 0, 0, LNKC, 0 }
                    }
                    Local3 [0] = (Local2 << 16) | 0xffff
                    Local3 [1] = Local1 & 3
                    Local0 [Local1] = Local3
                    Local1++
                }
                Return (Local0)
            }

            // The PIIX3's ISA bridge.
            Device (S08)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (P40C, PCI_Config, 0x60, 4)
                Scope (\_SB)
                {
                    // PIRQ routing: the IRQ; bit 7: disabled
                    Field (PCI0.S08.P40C, ByteAcc, NoLock, Preserve) { PRQ0, 8, PRQ1, 8, PRQ2, 8, PRQ3, 8 }
                }
            }

            Device (PRES)
            {
                Name (_HID, EisaId ("PNP0A06"))
                Name (_UID, "CPU Hotplug resources")
                Mutex (CPLK, 0)
                Name (_CRS, ResourceTemplate () { IO (Decode16, 0xaf00, 0xaf00, 1, 12) })
                OperationRegion (PRST, SystemIO, 0xaf00, 12)
                Field (PRST, ByteAcc, NoLock, WriteAsZeros)
                {
                    Offset (4),
                    CPEN, 1,        // present
                    CINS, 1,        // has been inserted; a one clears it
                    CRMV, 1,        // asked to go; a one clears it
                    CEJ0, 1,        // eject
                    CEJF, 1,        // the firmware is to eject it
                    Offset (5),
                    CCMD, 8
                }
                Field (PRST, DWordAcc, NoLock, Preserve)
                {
                    CSEL, 32,
                    Offset (8),
                    CDAT, 32
                }
                // Any write of the selector leaves the legacy interface.
                Method (_INI, 0, Serialized)
                {
                    CSEL = 0
                }
            }
        }

        // Of PIRQ register Arg0.
        Method (IQST, 1)
        {
            If (Arg0 & 0x80)
            {
                Return (0x09)
            }
            Return (0x0b)
        }
        Method (IQCR, 1, Serialized)
        {
            Name (PRR0, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 } })
            CreateDWordField (PRR0, 5, PRRI)
            If (Arg0 < 0x80)
            {
                PRRI = Arg0
            }
            Return (PRR0)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 0)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { Return (IQST (PRQ0)) }
            Method (_DIS) { PRQ0 |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQ0)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, PRRI) PRQ0 = PRRI }
        }
        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { Return (IQST (PRQ1)) }
            Method (_DIS) { PRQ1 |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQ1)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, PRRI) PRQ1 = PRRI }
        }
        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { Return (IQST (PRQ2)) }
            Method (_DIS) { PRQ2 |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQ2)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, PRRI) PRQ2 = PRRI }
        }
        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })
            Method (_STA) { Return (IQST (PRQ3)) }
            Method (_DIS) { PRQ3 |= 0x80 }
            Method (_CRS) { Return (IQCR (PRQ3)) }
            Method (_SRS, 1) { CreateDWordField (Arg0, 5, PRRI) PRQ3 = PRRI }
        }
        // The PM function's SCI is fixed at IRQ 9.
        Device (LNKS)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 9 } })
            Method (_STA) { Return (0x0b) }
            Method (_DIS) {}
            Method (_CRS) { Return (_PRS) }
            Method (_SRS, 1) {}
        }

        Device (CPUS)
        {
            Name (_HID, "ACPI0010")
            Name (_CID, EisaId ("PNP0A05"))

            // Is CPU Arg0 there?
            Method (CSTA, 1, Serialized)
            {
                Local0 = 0
                Acquire (\_SB.PCI0.PRES.CPLK, 0xffff)
                \_SB.PCI0.PRES.CSEL = Arg0
                If (\_SB.PCI0.PRES.CPEN)
                {
                    Local0 = 0x0f
                }
                Release (\_SB.PCI0.PRES.CPLK)
                Return (Local0)
            }
            Method (CEJ0, 1, Serialized)
            {
                Acquire (\_SB.PCI0.PRES.CPLK, 0xffff)
                \_SB.PCI0.PRES.CSEL = Arg0
                \_SB.PCI0.PRES.CEJ0 = 1
                Release (\_SB.PCI0.PRES.CPLK)
            }

            // Tells the system of CPUs that came (their events are cleared only after all are known, since the system may
            // look at others while it brings one up) and of those that are asked to go.
            Method (CSCN, 0, Serialized)
            {
                Name (CNEW, Package (255) {})
                Acquire (\_SB.PCI0.PRES.CPLK, 0xffff)
                Local0 = 0              // where to look on
                Local1 = 1              // there may be more
                While (Local1)
                {
                    Local1 = 0
                    Local2 = 0          // entries of CNEW
                    While (Local0 < CMAX)
                    {
                        \_SB.PCI0.PRES.CSEL = Local0
                        \_SB.PCI0.PRES.CCMD = 0         // selects the next CPU with an event
                        Local3 = \_SB.PCI0.PRES.CDAT
                        If (Local3 < Local0)
                        {
                            Break                       // went round
                        }
                        If (Local2 == 255)
                        {
                            Local1 = 1
                            Break
                        }
                        Local0 = Local3
                        If (\_SB.PCI0.PRES.CINS)
                        {
                            CNEW [Local2] = Local0
                            Local2++
                        }
                        ElseIf (\_SB.PCI0.PRES.CRMV)
                        {
                            CTFY (Local0, 3)
                            \_SB.PCI0.PRES.CRMV = 1
                        }
                        Else
                        {
                            Break                       // no event is left
                        }
                        Local0++
                    }
                    Local4 = 0
                    While (Local4 < Local2)
                    {
                        Local3 = DerefOf (CNEW [Local4])
                        CTFY (Local3, 1)
                        \_SB.PCI0.PRES.CSEL = Local3
                        \_SB.PCI0.PRES.CINS = 1
                        Local4++
                    }
                }
                Release (\_SB.PCI0.PRES.CPLK)
            }

            // _OST of CPU Arg0: event, status.
            Method (COST, 4, Serialized)
            {
                Acquire (\_SB.PCI0.PRES.CPLK, 0xffff)
                \_SB.PCI0.PRES.CSEL = Arg0
                \_SB.PCI0.PRES.CCMD = 1
                \_SB.PCI0.PRES.CDAT = Arg1
                \_SB.PCI0.PRES.CCMD = 2
                \_SB.PCI0.PRES.CDAT = Arg2
                Release (\_SB.PCI0.PRES.CPLK)
            }
        }
    }

    Scope (\_SB.PCI0)
    {
        Device (GPE0)
        {
            Name (_HID, "PNP0A06")
            Name (_UID, "GPE0 resources")
            Name (_STA, 0x0b)
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0xafe0, 0xafe0, 1, 4) })
        }
        Device (PHPR)
        {
            Name (_HID, "PNP0A06")
            Name (_UID, "PCI Hotplug resources")
            Name (_STA, 0x0b)
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0xae00, 0xae00, 1, 0x18) })
        }
        Device (FWCF)
        {
            Name (_HID, "QEMU0002")
            Name (_STA, 0x0b)
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x510, 0x510, 1, 12) })
        }
    }

    Scope (\_GPE)
    {
        Name (_HID, "ACPI0006")
        Method (_E02) { \_SB.CPUS.CSCN () }
    }
}
