/*
 * vmemu-img: the commands, and what they share.  Each does and prints what qemu-img 7.2's does.
 */
#ifndef IMG_IMG_H
#define IMG_IMG_H
#include "block/graph.h"
#include "block/options.h"

typedef struct ImgCommand { const char *name; int (*run)(int argc, char **argv); const char *syntax; } ImgCommand;
extern const ImgCommand img_commands[];
int img_bench(int argc, char **argv);
int img_create(int argc, char **argv);
int img_info(int argc, char **argv);
int img_check(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_snapshot(int argc, char **argv);
int img_amend(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_dd(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_rebase(int argc, char **argv);
void img_help(void) G_GNUC_NORETURN;

/* "PROG: text" and a pointer to --help; exit status 1. */
void img_usage_error(const char *fmt, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
/* For getopt's '?' and ':'. */
void img_bad_option(char c, char **argv) G_GNUC_NORETURN;

/* Opens an image as the command line names it (with --image-opts as options) or says why not. */
BlockBackend *img_open(bool image_opts, const char *name, const char *fmt, unsigned flags, bool writethrough, bool share);
/* With the file's aio= mode. */
BlockBackend *img_open_aio(bool image_opts, const char *name, const char *fmt, unsigned flags, bool writethrough, bool share,
                           const char *aio);
/* OPEN_* of a cache mode; false: no such mode. */
bool img_cache_flags(const char *mode, unsigned *flags, bool *writethrough);
/* A size argument, or -1 with messages. */
int64_t img_size(const char *name, const char *text);
/* JSON as qemu-img prints it, keys in its order. */
void img_print_json(json_t *j);
/* What can be given when an image is created: the format's options, then those of the file that it has not. */
#define IMG_MAX_CREATE_OPTS 64
unsigned img_create_options(const BlockDriver *d, const char *filename, const CreateOpt **list);
/* Options for creation with values of the right kinds? */
bool img_check_create_options(const BlockDriver *d, const char *filename, json_t *opts, GError **err);
/* -l of convert and measure: "name or id", "snapshot.id=...,snapshot.name=...". Says why not. */
bool img_load_snapshot(BlockBackend *b, const char *param);
void img_print_amend_help(const BlockDriver *d);
/* -o help */
void img_print_create_help(const char *fmt, const char *filename);
/* Adds "-o" text to opts; false: malformed (said). */
bool img_add_options(json_t **opts, const char *text);
/* Progress, as lines of -p, or on stderr when SIGUSR1 asks: delta percent of max percent more; max 0: delta is where
 * we are. */
void img_progress_start(bool on);
void img_progress(float delta, int max);
void img_progress_end(void);
/* Says that --object is not there; 1. */
int img_no_object(void);
#define IMG_COMMON_LONG { "help", no_argument, 0, 'h' }, { "object", required_argument, 0, 256 }, \
    { "image-opts", no_argument, 0, 257 }
enum { OPT_OBJECT = 256, OPT_IMAGE_OPTS, OPT_OUTPUT, OPT_BACKING_CHAIN, OPT_PREALLOCATION, OPT_SHRINK,
       OPT_TARGET_IMAGE_OPTS, OPT_TARGET_IS_ZERO, OPT_SALVAGE, OPT_BITMAPS, OPT_PATTERN, OPT_FLUSH_INTERVAL, OPT_NO_DRAIN,
       OPT_SIZE, OPT_FORCE, OPT_SKIP_BROKEN };
/* 0 human, 1 JSON; reports and exits otherwise. */
int img_output_format(const char *text);
#endif
