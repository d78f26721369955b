/* The HPET's part of the DSDT. */
DefinitionBlock ("", "DSDT", 1, "BOCHS ", "BXPC    ", 1)
{
    Scope (\_SB)
    {
        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            OperationRegion (HPTM, SystemMemory, 0xfed00000, 0x400)
            Field (HPTM, DWordAcc, Lock, Preserve)
            {
                VEND, 32,
                PRD, 32
            }
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadOnly, 0xfed00000, 0x400) })

            // There, if it has a vendor and a period of at most 100 ns.
            Method (_STA)
            {
                Local0 = VEND >> 16
                Local1 = PRD
                If (Local0 == 0 || Local0 == 0xffff || Local1 == 0 || Local1 > 100000000)
                {
                    Return (0)
                }
                Return (0x0f)
            }
        }
    }
}
