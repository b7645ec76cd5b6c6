#include "app/json.h"

#include "base/buf.h"
#include "text/utf8.h"

json_t *wh_json_text(const char *s, size_t n)
{
    wh_buf clean = {0};
    for (size_t at = 0; at < n;) {
        size_t len;
        if (wh_utf8_next(&len, s + at, n - at) == WH_UTF8_OK) wh_buf_put(&clean, s + at, len);
        else wh_buf_puts(&clean, "\xEF\xBF\xBD");
        at += len;
    }
    json_t *text = wh_buf_ok(&clean) ? json_stringn(wh_buf_str(&clean), clean.len) : NULL;
    wh_buf_free(&clean);
    return text;
}

json_t *wh_json_reals(const double *x, size_t n)
{
    json_t *list = x ? json_array() : json_null();
    for (size_t i = 0; x && i < n; i++) json_array_append_new(list, json_real(x[i]));
    return list;
}

json_t *wh_json_string(const char *s) { return s ? json_string(s) : json_null(); }

const char *wh_json_word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

#define LEDGER_FIELDS(X) X(linear) X(attention) X(head) X(prefill_tokens) X(decode_tokens) X(reused_tokens)

json_t *wh_json_ledger(const wh_ledger *l)
{
    json_t *o = json_object();
#define PUT(field) json_object_set_new(o, #field, json_integer((json_int_t)l->field));
    LEDGER_FIELDS(PUT)
#undef PUT
    return o;
}

wh_ledger wh_json_to_ledger(const json_t *o)
{
    wh_ledger l = {0};
#define GET(field) l.field = (uint64_t)json_integer_value(json_object_get(o, #field));
    LEDGER_FIELDS(GET)
#undef GET
    return l;
}
