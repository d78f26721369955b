/*
 * Memory modules, in the DSDT of a machine with slots. acpi-dsdt.c adds the number of slots, their devices and MTFY.
 * Integers of this table have 32 bits: addresses go by halves.
 */
DefinitionBlock ("", "SSDT", 1, "BOCHS ", "BXPC    ", 1)     // only its code is used
{
    External (\_SB.MHPC.MTFY, MethodObj)        // notify module Arg0 of Arg1
    External (\_SB.MHPC.MMAX, IntObj)           // number of slots

    External (\_SB.PCI0, DeviceObj)

    Scope (\_SB.PCI0)
    {
        Device (MHPD)
        {
            Name (_HID, "PNP0A06")
            Name (_UID, "Memory hotplug resources")
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x0a00, 0x0a00, 0, 0x18) })
            OperationRegion (MREG, SystemIO, 0x0a00, 0x18)
        }
    }
    Scope (\_SB)
    {
        Device (MHPC)
        {
            Name (_HID, "PNP0A06")
            Name (_UID, "DIMM devices")
            Mutex (MLCK, 0)
            Field (\_SB.PCI0.MHPD.MREG, DWordAcc, NoLock, Preserve) { MADL, 32, MADH, 32, MLNL, 32, MLNH, 32, MNOD, 32 }
            Field (\_SB.PCI0.MHPD.MREG, DWordAcc, NoLock, Preserve) { MSEL, 32, MOEV, 32, MOST, 32 }
            Field (\_SB.PCI0.MHPD.MREG, ByteAcc, NoLock, WriteAsZeros)
            {
                Offset (0x14),
                MENA, 1,        // there
                MINS, 1,        // new; a one clears it
                MRMV, 1,        // asked to go; a one clears it
                MEJ0, 1         // eject
            }

            // Tells the system of modules that came and of those that are asked to go.
            Method (MSCN, 0, Serialized)
            {
                Acquire (MLCK, 0xffff)
                Local0 = 0
                While (Local0 < MMAX)
                {
                    MSEL = Local0
                    If (MINS)
                    {
                        MTFY (Local0, 1)
                        MSEL = Local0
                        MINS = 1
                    }
                    ElseIf (MRMV)
                    {
                        MTFY (Local0, 3)
                        MSEL = Local0
                        MRMV = 1
                    }
                    Local0++
                }
                Release (MLCK)
            }
            Method (MSTA, 1, Serialized)
            {
                Local0 = 0
                Acquire (MLCK, 0xffff)
                MSEL = Arg0
                If (MENA)
                {
                    Local0 = 0x0f
                }
                Release (MLCK)
                Return (Local0)
            }
            Method (MCRS, 1, Serialized)
            {
                Name (MBUF, ResourceTemplate ()
                {
                    QWordMemory (ResourceProducer, , MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0, 0xffffffff, 0, 0x100000000)
                })
                CreateDWordField (MBUF, 14, MINL)
                CreateDWordField (MBUF, 18, MINH)
                CreateDWordField (MBUF, 22, MAXL)
                CreateDWordField (MBUF, 26, MAXH)
                CreateDWordField (MBUF, 38, LENL)
                CreateDWordField (MBUF, 42, LENH)
                Acquire (MLCK, 0xffff)
                MSEL = Arg0
                MINL = MADL
                MINH = MADH
                LENL = MLNL
                LENH = MLNH
                Release (MLCK)
                MAXL = MINL + LENL
                MAXH = MINH + LENH
                If (MAXL < MINL)
                {
                    MAXH = MAXH + 1
                }
                If (MAXL == 0)
                {
                    MAXH = MAXH - 1
                }
                MAXL = MAXL - 1
                Return (MBUF)
            }
            Method (MPXM, 1, Serialized)
            {
                Acquire (MLCK, 0xffff)
                MSEL = Arg0
                Local0 = MNOD
                Release (MLCK)
                Return (Local0)
            }
            // _OST of module Arg0: event, status.
            Method (MSTS, 4, Serialized)
            {
                Acquire (MLCK, 0xffff)
                MSEL = Arg0
                MOEV = Arg1
                MOST = Arg2
                Release (MLCK)
            }
            Method (MEJX, 1, Serialized)
            {
                Acquire (MLCK, 0xffff)
                MSEL = Arg0
                MEJ0 = 1
                Release (MLCK)
            }
        }
    }
    Scope (\_GPE)
    {
        Method (_E03) { \_SB.MHPC.MSCN () }
    }
}
