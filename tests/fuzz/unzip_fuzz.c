/*
 * Any bytes as an archive, in pieces whose size its first byte tells: what is called good was
 * begun, and names and totals keep to their bounds.
 */
#include "archive/unzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *data;
    size_t size, step;
    bool is_open;
    uint64_t out;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static ssize_t on_read(void *who, const void **ret_data)
{
    struct input *in = who;
    size_t n = in->size < in->step ? in->size : in->step;

    *ret_data = in->data;
    in->data += n;
    in->size -= n;
    return (ssize_t)n;
}

static bool on_begin(void *who, const char *name)
{
    struct input *in = who;

    check(!in->is_open && strlen(name) <= UNZIP_NAME_MAX);
    in->is_open = strlen(name) % 3 != 0;
    return in->is_open;
}

static bool on_data(void *who, const void *data, size_t len)
{
    struct input *in = who;
    const volatile uint8_t *bytes = data;

    check(in->is_open);
    if (len)
        (void)(bytes[0] + bytes[len - 1]);
    in->out += len;
    check(in->out <= UNZIP_TOTAL_MAX);
    return in->out < (1 << 26);
}

static void on_end(void *who, bool good)
{
    struct input *in = who;

    (void)good;
    check(in->is_open);
    in->is_open = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct unzip_ops ops = {on_read, on_begin, on_data, on_end};
    struct input in = {.data = data, .size = size};
    char why[80];

    if (!size)
        return 0;
    in.step = 1 + (size_t)data[0] * 4;
    in.data++;
    in.size--;
    unzip(&ops, &in, why, sizeof(why));
    check(!in.is_open && strlen(why) < sizeof(why));
    return 0;
}
