/*
 * Expressions of HMP: 64-bit integers; + - * / % & | ^ ~ ( ), 'c', $register, numbers as in C.
 * & | ^ bind the least, all three alike.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor-int.h"

#define DEPTH_MAX 64

typedef struct Parser {
    Monitor *mon;
    const char *p;
    unsigned depth;
    GError **err;
} Parser;

static bool expr(Parser *x, int64_t *v);

static void skip(Parser *x)
{
    while (g_ascii_isspace(*x->p))
        x->p++;
}

static void step(Parser *x)
{
    x->p++;
    skip(x);
}

static bool reg(Parser *x, int64_t *v)
{
    char name[64];
    unsigned n = 0;
    uint64_t r;

    for (x->p++; g_ascii_isalnum(*x->p) || (*x->p && strchr("_.:", *x->p)); x->p++) {
        if (n < sizeof(name) - 1)
            name[n++] = *x->p;
    }
    name[n] = 0;
    skip(x);
    if (!mon_register(x->mon, name, &r, x->err))
        return false;
    *v = r;
    return true;
}

static bool character(Parser *x, int64_t *v)
{
    if (!x->p[1])
        return error_set(x->err, "character constant expected");
    if (x->p[2] != '\'')
        return error_set(x->err, "missing terminating ' character");
    *v = (unsigned char)x->p[1];
    x->p += 3;
    skip(x);
    return true;
}

static bool number(Parser *x, int64_t *v)
{
    char *end;

    errno = 0;
    *v = g_ascii_strtoull(x->p, &end, 0);
    if (errno == ERANGE)
        return error_set(x->err, "number too large");
    if (end == x->p || !g_ascii_isdigit(*x->p))
        return error_set(x->err, "invalid char '%c' in expression", *x->p);
    x->p = end;
    skip(x);
    return true;
}

static bool unary(Parser *x, int64_t *v)
{
    switch (*x->p) {
    case '+':
    case '-':
    case '~': {
        char op = *x->p;

        if (++x->depth > DEPTH_MAX)
            return error_set(x->err, "expression nested too deeply");
        step(x);
        if (!unary(x, v))
            return false;
        x->depth--;
        if (op == '-')
            *v = -(uint64_t)*v;
        else if (op == '~')
            *v = ~*v;
        return true;
    }
    case '(':
        if (++x->depth > DEPTH_MAX)
            return error_set(x->err, "expression nested too deeply");
        step(x);
        if (!expr(x, v))
            return false;
        x->depth--;
        if (*x->p != ')')
            return error_set(x->err, "')' expected");
        step(x);
        return true;
    case '\'':
        return character(x, v);
    case '$':
        return reg(x, v);
    case 0:
        return error_set(x->err, "unexpected end of expression");
    default:
        return number(x, v);
    }
}

static bool product(Parser *x, int64_t *v)
{
    int64_t r;

    if (!unary(x, v))
        return false;
    while (*x->p == '*' || *x->p == '/' || *x->p == '%') {
        char op = *x->p;

        step(x);
        if (!unary(x, &r))
            return false;
        if (op == '*')
            *v = (uint64_t)*v * r;
        else if (!r)
            return error_set(x->err, "division by zero");
        else if (r == -1)               /* INT64_MIN / -1 traps */
            *v = op == '/' ? -(uint64_t)*v : 0;
        else
            *v = op == '/' ? *v / r : *v % r;
    }
    return true;
}

static bool sum(Parser *x, int64_t *v)
{
    int64_t r;

    if (!product(x, v))
        return false;
    while (*x->p == '+' || *x->p == '-') {
        char op = *x->p;

        step(x);
        if (!product(x, &r))
            return false;
        *v = op == '+' ? (uint64_t)*v + r : (uint64_t)*v - r;
    }
    return true;
}

static bool expr(Parser *x, int64_t *v)
{
    int64_t r;

    if (!sum(x, v))
        return false;
    while (*x->p == '&' || *x->p == '|' || *x->p == '^') {
        char op = *x->p;

        step(x);
        if (!sum(x, &r))
            return false;
        *v = op == '&' ? *v & r : op == '|' ? *v | r : *v ^ r;
    }
    return true;
}

bool hmp_expr(Monitor *mon, const char **p, int64_t *value, GError **err)
{
    Parser x = { .mon = mon, .p = *p, .err = err };

    skip(&x);
    if (!expr(&x, value))
        return false;
    *p = x.p;
    return true;
}
