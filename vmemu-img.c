/* vmemu-img: makes, examines, converts and repairs disk images, as qemu-img does. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "img/img.h"
#include "util/error.h"
#include "util/fdset.h"

const ImgCommand img_commands[] = {
    { "amend", img_amend, "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options filename" },
    { "bench", img_bench, "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] "
      "[-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename" },
    { "bitmap", img_bitmap, "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file "
      "[-F source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] filename bitmap" },
    { "check", img_check, "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] "
      "[-T src_cache] [-U] filename" },
    { "commit", img_commit, "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] "
      "filename" },
    { "compare", img_compare, "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] "
      "filename1 filename2" },
    { "convert", img_convert, "[--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] [-U] "
      "[-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] "
      "[-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] [--salvage] filename "
      "[filename2 [...]] output_filename" },
    { "create", img_create, "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] "
      "filename [size]" },
    { "dd", img_dd, "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] if=input "
      "of=output" },
    { "info", img_info, "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename" },
    { "map", img_map, "[--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] "
      "[--output=ofmt] [-U] filename" },
    { "measure", img_measure, "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] [--image-opts] "
      "[-f fmt] [-l snapshot_param] filename]" },
    { "rebase", img_rebase, "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] "
      "-b backing_file [-F backing_fmt] filename" },
    { "resize", img_resize, "[--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] "
      "filename [+ | -]size" },
    { "snapshot", img_snapshot, "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | "
      "-d snapshot] filename" },
    { NULL },
};

static void version(void)
{
    printf("%s version %s\n", error_program(), CONFIG_VERSION);
}

void img_help(void)
{
    version();
    printf("usage: %s [standard options] command [command options]\n"
           "\n"
           "    '-h', '--help'       this text\n"
           "    '-V', '--version'    the version\n"
           "\n"
           "Commands:\n", error_program());
    for (const ImgCommand *c = img_commands; c->name; c++)
        printf("  %s %s\n", c->name, c->syntax);
    printf("\n"
           "  fmt           an image's format; guessed when it is not given\n"
           "  cache         none, writeback, writethrough, directsync or unsafe (the default of convert's target)\n"
           "  size          bytes, or with a suffix k, M, G, T, P or E (powers of 1024)\n"
           "  options       name=value,...; '-o help' lists those of a format\n"
           "  sparse_size   how many zero bytes in a row are left out (4k); 0: write everything\n"
           "  -q, -p        print nothing but errors; print progress\n"
           "  -U            read an image that another program writes to\n"
           "\n"
           "Supported formats:");
    for (unsigned i = 0; block_drivers[i]; i++)
        printf(" %s", block_drivers[i]->name);
    printf("\n");
    exit(0);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = { { "help", no_argument, 0, 'h' }, { "version", no_argument, 0, 'V' }, { 0 } };
    int c, ret;

    fds_fill_standard();
    error_set_program(argv[0]);
    error_set_plain_hints();
    block_init(NULL);
    if (argc < 2)
        img_usage_error("Not enough arguments");
    while ((c = getopt_long(argc, argv, "+:hV", longs, NULL)) != -1) {
        switch (c) {
        case 'h': img_help();
        case 'V': version(); return 0;
        default: img_bad_option(c, argv);
        }
    }
    if (optind >= argc)
        img_usage_error("Not enough arguments");
    for (const ImgCommand *cmd = img_commands; cmd->name; cmd++) {
        if (strcmp(cmd->name, argv[optind]))
            continue;
        argc -= optind;
        argv += optind;
        optind = 0;
        ret = cmd->run(argc, argv);
        block_shutdown();
        if (fflush(stdout) == EOF || ferror(stdout)) {
            error_report("can't write the output");
            return 1;
        }
        return ret;
    }
    {
        const char *names[32];
        unsigned n = 0;
        const char *near;

        for (const ImgCommand *cmd = img_commands; cmd->name; cmd++)
            names[n++] = cmd->name;
        names[n] = NULL;
        near = nearest_name(argv[optind], names);
        img_usage_error("Command not found: %s%s%s%s", argv[optind], near ? " (did you mean '" : "", near ? near : "",
                        near ? "'?)" : "");
    }
}
