/* whet tokenize: the token ids of a text. */
#include "app/cmd.h"
#include "app/load.h"
#include "app/out.h"
#include "base/file.h"

typedef struct options {
    bool        bos, json, special;
    const char *policy;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, bos, "bos", "add the tokens that the model wants around a text (BOS, EOS)"),
    WH_OPT_FLAG(options, json, "json", "as JSON"),
    WH_OPT_STRING(options, policy, "policy", "MODEL", NULL, "name, alias or path; a file with a vocabulary alone suffices"),
    WH_OPT_FLAG(options, special, "special", "read control tokens such as <|im_end|> in the text as such"),
};

static wh_code tokenize(const options *o, const char *file, wh_tok_ids *ids, wh_err *err)
{
    wh_tok *tok;
    WH_TRY(wh_load_tok(&tok, o->policy, err));
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, file, (size_t)1 << 30, err);
    unsigned flags = (o->special ? WH_TOK_SPECIAL : 0u) | (o->bos ? WH_TOK_BOS : 0u);
    if (code == WH_OK) code = wh_tok_encode(tok, ids, wh_buf_str(&text), text.len, flags, err);
    wh_buf_free(&text);
    wh_tok_free(tok);
    return code;
}

int wh_cmd_tokenize(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] = "Print the token ids of a file (`-`: standard input) on one line.";
    const wh_opt_spec spec = {"tokenize", "[options] FILE", about, groups, 1, 1, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    wh_tok_ids ids = {0};
    if (tokenize(&o, argv[0], &ids, &err) != WH_OK) {
        status = wh_out_error(&err);
    } else if (o.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < ids.len; i++) json_array_append_new(list, json_integer(ids.data[i]));
        wh_out_json(json_pack("{s:I, s:o}", "n", (json_int_t)ids.len, "ids", list));
    } else {
        for (size_t i = 0; i < ids.len; i++) wh_out_printf(i ? " %d" : "%d", ids.data[i]);
        wh_out_puts("\n");
    }
    wh_tok_ids_free(&ids);
    return status;
}
