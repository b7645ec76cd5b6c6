/* opt: options of a command, declared once.
 *
 * A command declares a struct for its values and a table with one line per option; parsing, range checks,
 * error sentences, defaults and --help come from the table. Tables are sorted by name. A table can be shared
 * by commands: each use is a group with the struct that its values go to.
 *
 *     --name value   --name=value   --flag   --   (what follows is not an option)
 *     -n value   -n=value   -f                    (names of one letter)
 */
#ifndef WH_APP_OPT_H
#define WH_APP_OPT_H

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    WH_OPT_TYPE_FLAG,   /* bool */
    WH_OPT_TYPE_INT,    /* int64_t */
    WH_OPT_TYPE_FLOAT,  /* double */
    WH_OPT_TYPE_SIZE,   /* uint64_t: bytes, with K, M, G (powers of 1024) */
    WH_OPT_TYPE_STRING, /* const char *, borrowed from argv */
    WH_OPT_TYPE_CHOICE, /* const char *, one of the words of `choices` */
    WH_OPT_TYPE_INTS,   /* wh_opt_ints: whole numbers separated by commas */
    WH_OPT_TYPE_STRINGS, /* wh_opt_strings: the option may be given several times */
    WH_OPT_TYPE_PART    /* wh_opt_part: "2/5" */
} wh_opt_type;

enum { WH_OPT_INTS_MAX = 32 };
typedef struct wh_opt_ints {
    size_t  n;
    int64_t v[WH_OPT_INTS_MAX];
} wh_opt_ints;

enum { WH_OPT_STRINGS_MAX = 32 };
typedef struct wh_opt_strings {
    size_t      n;
    const char *v[WH_OPT_STRINGS_MAX]; /* borrowed from argv */
} wh_opt_strings;

typedef struct wh_opt_part {
    int64_t part, of; /* 1 <= part <= of; 0/0: all */
} wh_opt_part;

typedef struct wh_opt {
    const char *name;    /* without dashes */
    wh_opt_type type;
    size_t      at;      /* offset of the value in the struct of the group */
    const char *value;   /* what --help calls the value: "T" */
    const char *init;    /* the default as one would type it; NULL: the struct keeps what the command put in */
    double      lo, hi;  /* range of numbers, inclusive */
    const char *help;
    const char *choices; /* CHOICE: words separated by spaces */
} wh_opt;

/* Lines of a table; the type of the field is checked by the compiler. */
#define WH_OPT_AT(S, field, T) (offsetof(S, field) + 0 * sizeof((T *)0 == &((S *)0)->field))
#define WH_OPT_FLAG(S, field, name, help) \
    {name, WH_OPT_TYPE_FLAG, WH_OPT_AT(S, field, bool), NULL, NULL, 0, 0, help, NULL}
#define WH_OPT_INT(S, field, name, value, init, lo, hi, help) \
    {name, WH_OPT_TYPE_INT, WH_OPT_AT(S, field, int64_t), value, init, lo, hi, help, NULL}
#define WH_OPT_FLOAT(S, field, name, value, init, lo, hi, help) \
    {name, WH_OPT_TYPE_FLOAT, WH_OPT_AT(S, field, double), value, init, lo, hi, help, NULL}
#define WH_OPT_SIZE(S, field, name, value, init, help) \
    {name, WH_OPT_TYPE_SIZE, WH_OPT_AT(S, field, uint64_t), value, init, 0, 1e15, help, NULL}
#define WH_OPT_STRING(S, field, name, value, init, help) \
    {name, WH_OPT_TYPE_STRING, WH_OPT_AT(S, field, const char *), value, init, 0, 0, help, NULL}
#define WH_OPT_CHOICE(S, field, name, value, init, words, help) \
    {name, WH_OPT_TYPE_CHOICE, WH_OPT_AT(S, field, const char *), value, init, 0, 0, help, words}
#define WH_OPT_INTS(S, field, name, value, init, lo, hi, help) \
    {name, WH_OPT_TYPE_INTS, WH_OPT_AT(S, field, wh_opt_ints), value, init, lo, hi, help, NULL}
#define WH_OPT_STRINGS(S, field, name, value, help) \
    {name, WH_OPT_TYPE_STRINGS, WH_OPT_AT(S, field, wh_opt_strings), value, NULL, 0, 0, help, NULL}
#define WH_OPT_PART(S, field, name, help) \
    {name, WH_OPT_TYPE_PART, WH_OPT_AT(S, field, wh_opt_part), "I/N", NULL, 1, 1e6, help, NULL}

typedef struct wh_opt_group {
    const char   *title; /* heading in --help; NULL: "Options" */
    const wh_opt *opts;
    size_t        n;
    void         *values; /* the struct */
    bool         *given;  /* n entries, true where the option was on the command line; NULL: not wanted */
} wh_opt_group;

typedef struct wh_opt_spec {
    const char         *command;  /* "solve" */
    const char         *synopsis; /* what follows the command: "[options] \"problem\"" */
    const char         *about;    /* a paragraph or more */
    const wh_opt_group *groups;
    size_t              n_groups;
    size_t              min_args, max_args; /* arguments that are not options */
    bool                dash_args;          /* "-1" and "-x" are arguments: only --words are options */
} wh_opt_spec;

/* Parse argv[0 .. argc), the words after the command. Arguments that are not options are moved to the front
 * of argv, *n_args of them. *help: --help was asked for (nothing else is checked then). WH_ERR_ARG with a
 * sentence for anything that makes no sense. */
wh_code wh_opt_parse(const wh_opt_spec *spec, int argc, char **argv, size_t *n_args, bool *help, wh_err *err);

/* One value into its field, with the checks of its line; `what` names it in the sentence ("--n"). */
wh_code wh_opt_set(const wh_opt *o, void *values, const char *what, const char *text, wh_err *err);

/* The text of --help. */
void wh_opt_help(wh_buf *out, const wh_opt_spec *spec);

#endif
