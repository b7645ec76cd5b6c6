/* whet: the command. Finds the command in cmd.def and hands it the rest of the line; sees to it that
 * output that could not be written is reported. */
#include "app/cmd.h"
#include "app/out.h"
#include "app/suggest.h"
#include "base/file.h"

#include <string.h>

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
#define WH_CMD(name, summary) {#name, summary, wh_cmd_##name},
#include "app/cmd.def"
#undef WH_CMD
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS + 2] = {"--help", "--version"};
    for (size_t i = 0; i < N_COMMANDS; i++) names[i + 2] = commands[i].name;
    const char *near = wh_suggest_name(name, names, N_COMMANDS + 2);
    wh_err err;
    if (near) wh_err_set(&err, WH_ERR_ARG, "unknown command '%.60s'; did you mean `whet %s`?", name, near);
    else wh_err_set(&err, WH_ERR_ARG, "unknown command '%.60s'; `whet help` lists the commands", name);
    return wh_out_error(&err);
}

static void print_overview(void)
{
    wh_out_puts("Whet: small language models reason better by spending compute while they answer.\n"
                "\n"
                "Start here:\n"
                "  whet pull                       fetch the default model, once\n"
                "  whet solve \"A pen costs 3 dollars, a book twice as much. What do 4 books cost?\"\n"
                "\n"
                "Commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++) wh_out_printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    wh_out_puts("\n`whet help COMMAND` or `whet COMMAND --help` explains a command and its options.\n");
}

static void print_help(void)
{
    print_overview();
    wh_out_puts("\n"
                "Environment:\n"
                "  WHET_MODELS     folder of the models (default $XDG_CACHE_HOME/whet/models or\n"
                "                  ~/.cache/whet/models)\n"
                "  WHET_SHARE      a folder with heads/ and profiles/ to use instead of those\n"
                "                  that come with Whet\n"
                "  WHET_MANIFEST   a list of models to use instead of the built-in one\n"
                "  WHET_POWERCAP   where the processor's energy counters are, for --energy\n"
                "                  (default /sys/class/powercap)\n"
                "\n"
                "Exit status:\n"
                "  0  done                          5    a file or a text is broken\n"
                "  1  the answer is no              6    well-formed, but not supported\n"
                "  2  the command line is wrong     7    a limit (memory, context) does not suffice\n"
                "  3  out of memory                 130  interrupted; what was finished is kept\n"
                "  4  reading or writing failed\n");
}

bool wh_cmd_begin(const wh_opt_spec *spec, int argc, char **argv, size_t *n_args, int *status)
{
    wh_err err;
    bool help;
    *status = WH_EXIT_OK;
    if (wh_opt_parse(spec, argc, argv, n_args, &help, &err) != WH_OK) {
        *status = wh_out_error(&err);
        return false;
    }
    if (!help) return true;
    wh_buf text = {0};
    wh_opt_help(&text, spec);
    wh_out_puts(wh_buf_str(&text));
    wh_buf_free(&text);
    return false;
}

wh_code wh_cmd_text(wh_buf *out, const char *word, const char *what, wh_err *err)
{
    if (strcmp(word, "-") == 0) return wh_file_read(out, word, (size_t)1 << 26, err);
    wh_buf_puts(out, word);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s", what);
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        print_overview();
        return WH_EXIT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        wh_out_printf("whet %s\n", wh_version());
        return WH_EXIT_OK;
    }
    bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help && argc == 2) {
        print_help();
        return WH_EXIT_OK;
    }
    if (help) name = argv[2];
    const command *c = find_command(name);
    if (!c) return unknown_command(name);
    if (!help) return c->run(argc - 2, argv + 2);
    char word[] = "--help", *words[] = {word, NULL};
    return c->run(1, words);
}

int main(int argc, char **argv)
{
    wh_out_init();
    return wh_out_finish(dispatch(argc, argv));
}
