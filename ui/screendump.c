/* Screen dumps: a console's picture as a PPM (binary, 8 bits) or a PNG file. */
#include "ui/console-int.h"
#include "util/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef CONFIG_PNG
#include <png.h>
#include <zlib.h>
#endif

/* One line as bytes R G B. */
static void line_rgb(const Surface *s, int y, uint32_t *line, uint8_t *rgb)
{
    int w = surface_width(s);

    surface_read(s, 0, y, w, 1, line, w * 4);
    for (int x = 0; x < w; x++) {
        *rgb++ = line[x] >> 16;
        *rgb++ = line[x] >> 8;
        *rgb++ = line[x];
    }
}

static bool write_ppm(FILE *f, const Surface *s)
{
    int w = surface_width(s), h = surface_height(s);
    g_autofree uint32_t *line = g_new(uint32_t, w);
    g_autofree uint8_t *rgb = g_new(uint8_t, 3 * w);

    if (fprintf(f, "P6\n%d %d\n255\n", w, h) < 0) {
        return false;
    }
    for (int y = 0; y < h; y++) {
        line_rgb(s, y, line, rgb);
        if (fwrite(rgb, 3, w, f) != (size_t)w) {
            return false;
        }
    }
    return true;
}

#ifdef CONFIG_PNG
static bool write_png(FILE *f, const Surface *s)
{
    int w = surface_width(s), h = surface_height(s);
    g_autofree uint32_t *line = g_new(uint32_t, w);
    g_autofree uint8_t *rgb = g_new(uint8_t, 3 * w);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, f);
    png_set_compression_level(png, Z_BEST_SPEED);
    png_set_IHDR(png, info, w, h, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < h; y++) {
        line_rgb(s, y, line, rgb);
        png_write_row(png, rgb);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}
#endif

bool console_screendump(Console *con, const char *path, ImageFormat format, GError **err)
{
    FILE *f;
    int fd;
    bool ok;

    con = con ? con : console_by_index(0);
    if (!con) {
        return error_set(err, "There is no console to take a screendump from");
    }
#ifndef CONFIG_PNG
    if (format == IMAGE_PNG) {
        return error_set(err, "Enable PNG support with libpng for screendump");
    }
#endif
    console_refresh(con);
    console_prepare(con);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        if (fd >= 0) {
            close(fd);
        }
        return error_set_errno(err, errno, "failed to open file '%s'", path);
    }
    errno = 0;
#ifdef CONFIG_PNG
    ok = format == IMAGE_PNG ? write_png(f, console_surface(con)) : write_ppm(f, console_surface(con));
#else
    ok = write_ppm(f, console_surface(con));
#endif
    ok = !fclose(f) && ok;
    if (!ok) {
        struct stat st;

        fd = errno ? errno : EIO;
        if (!stat(path, &st) && S_ISREG(st.st_mode)) {
            unlink(path);
        }
        return error_set_errno(err, fd, "Unable to write to file");
    }
    return true;
}
