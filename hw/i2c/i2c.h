/* I2C and SMBus: the bus, what a slave provides and what a bus master calls. */
#ifndef HW_I2C_I2C_H
#define HW_I2C_I2C_H
#include "hw/core/device.h"

typedef struct I2cBus I2cBus;
typedef struct I2cDevice I2cDevice;

typedef enum I2cEvent { I2C_START_RECV, I2C_START_SEND, I2C_FINISH, I2C_NACK } I2cEvent;

/* class_data of a type on "i2c-bus". */
typedef struct I2cClass {
    bool (*event)(I2cDevice *d, I2cEvent ev);           /* false: does not acknowledge its address */
    uint8_t (*recv)(I2cDevice *d);                      /* from slave to master */
    bool (*send)(I2cDevice *d, uint8_t byte);           /* false: not acknowledged */
} I2cClass;

struct I2cDevice {                      /* first member of every slave's struct */
    Device dev;
    uint8_t address;                    /* 7 bits */
};

struct I2cBus {
    Bus bus;
    uint8_t saved_address;              /* of the slave in a transfer; 0xff: none */
    I2cDevice *current;
};

extern const BusType i2c_bus_type;
extern const DeviceType i2c_device_type;        /* parent: property "address" */
extern const StateTable i2c_device_state;       /* first row of a slave's table: STRUCT(T, i2c, &i2c_device_state) */

I2cBus *i2c_bus_new(Device *master, const char *name);

/* A transfer of bytes. */
bool i2c_start(I2cBus *b, uint8_t address, bool recv);  /* false: nobody there; also a repeated start */
bool i2c_send(I2cBus *b, uint8_t byte);
uint8_t i2c_recv(I2cBus *b);
void i2c_nack(I2cBus *b);
void i2c_end(I2cBus *b);

/* SMBus 2.0 commands; negative: no answer. Blocks: at most 32 bytes; with_len: the length byte is on the wire. */
int smbus_quick(I2cBus *b, uint8_t address, bool read);
int smbus_receive_byte(I2cBus *b, uint8_t address);
int smbus_send_byte(I2cBus *b, uint8_t address, uint8_t data);
int smbus_read_byte(I2cBus *b, uint8_t address, uint8_t command);
int smbus_write_byte(I2cBus *b, uint8_t address, uint8_t command, uint8_t data);
int smbus_read_word(I2cBus *b, uint8_t address, uint8_t command);
int smbus_write_word(I2cBus *b, uint8_t address, uint8_t command, uint16_t data);
int smbus_read_block(I2cBus *b, uint8_t address, uint8_t command, uint8_t *data, unsigned max, bool with_len);
int smbus_write_block(I2cBus *b, uint8_t address, uint8_t command, const uint8_t *data, unsigned len, bool with_len);

/* ---- The slave's side of SMBus ---- */

#define SMBUS_BUFFER 34
typedef struct SmbusDevice {            /* first member of an SMBus slave's struct */
    I2cDevice i2c;
    int32_t mode;
    int32_t data_len;
    uint8_t data_buf[SMBUS_BUFFER];     /* command and data of a write in progress */
} SmbusDevice;

/* class_data of an SMBus slave: I2cClass first, with smbus_event, smbus_recv and smbus_send. */
typedef struct SmbusClass {
    I2cClass i2c;
    void (*write_data)(SmbusDevice *d, const uint8_t *buf, unsigned len);   /* buf[0]: the command; len > 0 */
    uint8_t (*receive_byte)(SmbusDevice *d);
} SmbusClass;

bool smbus_event(I2cDevice *d, I2cEvent ev);
uint8_t smbus_recv(I2cDevice *d);
bool smbus_send(I2cDevice *d, uint8_t byte);
bool smbus_busy(const SmbusDevice *d);          /* in a transfer: its state must be in the stream */
extern const StateTable smbus_device_state;

/* An EEPROM of 256 bytes at address; contents may be NULL (zeroes). */
extern const DeviceType smbus_eeprom_type;
bool smbus_eeprom_create(I2cBus *b, uint8_t address, const uint8_t *contents, GError **err);
#endif
