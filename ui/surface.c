/* Surfaces: pixman images with an owner for their pixels. */
#include "ui/console.h"
#include <string.h>

Surface *surface_new(int width, int height)
{
    Surface *s = g_new0(Surface, 1);

    width = CLAMP(width, 1, SURFACE_MAX);
    height = CLAMP(height, 1, SURFACE_MAX);
    s->image = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    g_assert(s->image);
    return s;
}

Surface *surface_new_shared(int width, int height, pixman_format_code_t f, int stride, void *data)
{
    pixman_image_t *image;
    Surface *s;

    if (width < 1 || height < 1 || width > SURFACE_MAX || height > SURFACE_MAX || stride % 4 ||
        (intptr_t)data % 4 || stride < width * (int)PIXMAN_FORMAT_BPP(f) / 8) {
        return NULL;
    }
    image = pixman_image_create_bits(f, width, height, data, stride);
    if (!image) {
        return NULL;
    }
    s = g_new0(Surface, 1);
    s->image = image;
    s->shared = true;
    return s;
}

void surface_free(Surface *s)
{
    if (s) {
        pixman_image_unref(s->image);
        g_free(s);
    }
}

void surface_read(const Surface *s, int x, int y, int w, int h, uint32_t *to, int stride)
{
    pixman_image_t *dest;

    if (x < 0 || y < 0 || w <= 0 || h <= 0 || x + w > surface_width(s) || y + h > surface_height(s)) {
        return;
    }
    if (surface_format(s) == PIXMAN_x8r8g8b8) {
        for (int i = 0; i < h; i++) {
            memcpy((uint8_t *)to + (size_t)i * stride,
                   surface_data(s) + (size_t)(y + i) * surface_stride(s) + x * 4, w * 4);
        }
        return;
    }
    dest = pixman_image_create_bits(PIXMAN_x8r8g8b8, w, h, to, stride);
    pixman_image_composite32(PIXMAN_OP_SRC, s->image, NULL, dest, x, y, 0, 0, 0, 0, w, h);
    pixman_image_unref(dest);
}
