/*
 * SSDT of the VM generation id device. Before this code acpi-tables.c puts the name VGIA, the address of etc/vmgenid_guid in
 * memory that the firmware fills in, and the device with its ids, whose form iasl would not let pass.
 */
DefinitionBlock ("", "SSDT", 1, "BOCHS ", "VMGENID", 1)
{
    External (\VGIA, IntObj)
    External (\_SB.VGEN, DeviceObj)

    Scope (\_SB.VGEN)
    {
        Method (_STA)
        {
            If (VGIA == 0)
            {
                Return (0)
            }
            Return (0x0f)
        }
        // {low, high} half of the id's address
        Method (ADDR)
        {
            Local0 = Package (2) {}
            Local0 [0] = VGIA + 40
            Local0 [1] = 0
            Return (Local0)
        }
    }
    Scope (\_GPE)
    {
        Method (_E05) { Notify (\_SB.VGEN, 0x80) }
    }
}
