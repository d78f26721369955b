/*
 * Configuration errors and messages to the user.
 *
 * Three kinds of error are never mixed (docs/architecture.md):
 *   configuration   bool f(..., GError **err): one line: what was wrong, where, what would be right
 *   system calls    -errno, up to the caller that can say it well
 *   guest           do what the hardware would, log_guest() it
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H
#include <glib.h>
#include <stdbool.h>

/* QMP's error classes; a GError's code is one of these, its domain vmemu_error_quark(). */
typedef enum ErrorClass {
    ERR_GENERIC, ERR_COMMAND_NOT_FOUND, ERR_DEVICE_NOT_ACTIVE, ERR_DEVICE_NOT_FOUND, ERR_KVM_MISSING_CAP,
} ErrorClass;

GQuark vmemu_error_quark(void);
/* Sets *err (when err is not NULL); always returns false, so that `return error_set(...)` reads well. */
bool error_set(GError **err, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
bool error_set_class(GError **err, ErrorClass c, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* The same with ": " and strerror(errnum) at the end; errnum may be negative. */
bool error_set_errno(GError **err, int errnum, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* QMP's name of the class of err ("GenericError", ...). */
const char *error_class_name(const GError *err);

/* One line on stderr, "PROGRAM: text" as QEMU prints it; error_report_err also frees err.
 * A monitor that runs a command on this thread can take them instead, with error_set_sink. */
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void info_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void error_report_err(GError *err);
/* The same in one line: a hint on a second one comes behind a colon. Does not free err. */
void error_report_line(const GError *err);
void error_set_program(const char *argv0);
/* Only the first line of a text gets the program's name, as stock QEMU's tools print it. */
void error_set_plain_hints(void);
const char *error_program(void);
/* While they are held, warnings that would go to stderr are kept back: released, they are printed (or forgotten, after an
 * error: that is to be the only line). One thread starts the program; no other warns before it is done. */
void warnings_hold(void);
void warnings_release(bool print);
/* A warning of several lines in a form of its own, without the program's name; held like the others. */
void warn_text(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
typedef void ErrorSink(void *opaque, const char *line);
void error_set_sink(ErrorSink *sink, void *opaque); /* of the calling thread; NULL: stderr again */

/* Why GLib could not read a file: the end of its message, such as "No such file or directory". Belongs to err. */
const char *error_file_reason(const GError *err);
/* The name in `names` (NULL-terminated) nearest to `wrong`, or NULL when none is near (edit distance; else the shortest that
 * begins with it). */
const char *nearest_name(const char *wrong, const char *const *names);
/* " (did you mean 'NAME'?)", or "" when none is near. Free with g_free. */
char *nearest_hint(const char *wrong, const char *const *names);
/* Puts "-option arg: " before the message, unless it begins with the option's name already. */
void error_prefix_option(GError **err, const char *option, const char *arg);
#endif
