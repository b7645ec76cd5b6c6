#include "app/show_tree.h"

#include "app/out.h"
#include "app/width.h"
#include "base/clock.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    COLUMNS = 80,
    ROWS = 24,
    RAIL = 32, /* columns for the branches, at most */
    FULL = 40  /* a finished tree of so many nodes is drawn with everything that was dropped */
};

typedef struct line {
    size_t   from; /* in the text */
    uint32_t level; /* nodes from the root to here */
} line;

typedef struct picture {
    const wh_tree   *tree;
    const wh_result *result; /* NULL: the search is under way, only what is in play is drawn */
    int32_t          winner;
    bool             full; /* what was dropped has lines of its own */
    bool             colours;
    size_t           columns, rows;
    wh_buf           text, lines; /* lines: of struct line */
} picture;

/* ---- one line ---------------------------------------------------------------------------------------------------- */

static void measure(picture *p)
{
    struct winsize w;
    p->columns = COLUMNS;
    p->rows = ROWS;
    p->colours = wh_out_terminal();
    if (!p->colours || ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0) return;
    if (w.ws_col >= 40) p->columns = w.ws_col;
    if (w.ws_row >= 8) p->rows = w.ws_row;
}

static void colour(picture *p, const char *code)
{
    if (p->colours) wh_buf_printf(&p->text, "\033[%sm", code);
}

/* Each branch of a rail is two columns wide and followed by a zero byte, because it may be two bytes or four. */
static size_t rail_columns(const wh_buf *rail)
{
    size_t columns = 0;
    for (size_t i = 0; i < rail->len; i++) columns += rail->data[i] == '\0' ? 2 : 0;
    return columns;
}

static void begin_line(picture *p, const wh_buf *rail, uint32_t level)
{
    const line l = {p->text.len, level};
    wh_buf_put(&p->lines, &l, sizeof l);
    colour(p, "2");
    /* A deep tree shows its last branches; the ellipsis stands for the rest. */
    size_t branches = rail_columns(rail) / 2, skip = branches > RAIL / 2 ? branches - RAIL / 2 + 1 : 0, branch = 0;
    if (skip) wh_buf_puts(&p->text, "\xE2\x8B\xAF ");
    for (size_t i = 0; i < rail->len; i++) {
        if (rail->data[i] == '\0') branch++;
        else if (branch >= skip) wh_buf_putc(&p->text, rail->data[i]);
    }
    colour(p, "0");
}

static void end_line(picture *p) { wh_buf_putc(&p->text, '\n'); }

/* The first of the samples that end at a node, or NULL. */
static const wh_sample *sample_of(const picture *p, uint32_t node)
{
    for (size_t i = 0; p->result && i < p->result->n_samples; i++)
        if (p->result->samples[i].node == node) return &p->result->samples[i];
    return NULL;
}

/* Whether a duplicate was scored depends on which of the two was written first: it is not shown. */
static bool has_score(const wh_node *n) { return n->scores && n->fate != WH_FATE_DUPLICATE; }

/* Did it come to a solution, at the node or below it? */
static bool led_somewhere(const wh_tree *t, uint32_t node)
{
    bool any = t->nodes[node].fate == WH_FATE_SOLUTION;
    for (uint32_t i = t->nodes[node].first_child; i && !any; i = t->nodes[i].next) any = led_somewhere(t, i);
    return any;
}

/* "★ 0.93 Half as many clips in May is 24.  = 72" */
static void node_line(picture *p, const wh_buf *rail, uint32_t node, uint32_t level)
{
    const wh_node *n = &p->tree->nodes[node];
    const wh_sample *s = sample_of(p, node);
    bool won = s && s->group == p->winner && s->group >= 0, out = p->result && !led_somewhere(p->tree, node);
    const char *mark = won                                ? "\xE2\x98\x85" /* ★ */
                       : n->fate == WH_FATE_SOLUTION     ? "\xE2\x9C\x93" /* ✓ */
                       : n->fate == WH_FATE_DUPLICATE    ? "="
                       : n->fate == WH_FATE_OVERLONG     ? ">"
                       : n->fate == WH_FATE_PRUNED       ? "\xC3\x97" /* × */
                                                         : "\xC2\xB7" /* · */;
    begin_line(p, rail, level);
    size_t rails = rail_columns(rail), left = p->columns - 1 - (rails < RAIL ? rails : RAIL);
    colour(p, out ? "2" : won ? "1;32" : "0");
    wh_buf_printf(&p->text, "%s ", mark);
    left -= 2;
    if (has_score(n)) {
        if (!out) colour(p, n->value >= 0.8 ? "32" : n->value >= 0.5 ? "33" : "31");
        wh_buf_printf(&p->text, "%.2f ", n->value);
        left -= 5;
    }
    if (p->colours) colour(p, out ? "0;2" : won ? "0;1" : "0");
    wh_buf answer = {0};
    if (s) {
        wh_buf_puts(&answer, "  = ");
        if (*s->answer) wh_width_put(&answer, s->answer, strlen(s->answer), 16, false);
        else wh_buf_puts(&answer, "?");
    }
    size_t reserve = s ? 20 : 0;
    left = left > reserve + 10 ? left - reserve : 10;
    if (!wh_width_put(&p->text, n->text, n->text_len, left, false)) wh_buf_puts(&p->text, "(nothing)");
    if (s) {
        if (won) colour(p, "1;32");
        wh_buf_puts(&p->text, wh_buf_str(&answer));
    }
    wh_buf_free(&answer);
    colour(p, "0");
    end_line(p);
}

/* ---- the tree ------------------------------------------------------------------------------------------------------ */

static bool is_drawn(const picture *p, const wh_node *n)
{
    if (n->fate == WH_FATE_SPECULATIVE || n->state == WH_NODE_RUNNING) return false;
    if (p->full) return true;
    return p->result ? led_somewhere(p->tree, (uint32_t)(n - p->tree->nodes)) : n->fate == WH_FATE_IN_PLAY || n->fate == WH_FATE_SOLUTION;
}

/* "… 4 being written, × 3 dropped: 0.31 0.12 0.05" below a node: those of its children that have no lines of their own */
static void draw_rest(picture *p, const wh_buf *rail, uint32_t node, uint32_t level)
{
    size_t running = 0, dropped = 0;
    wh_buf scores = {0};
    for (uint32_t i = p->tree->nodes[node].first_child; i; i = p->tree->nodes[i].next) {
        const wh_node *n = &p->tree->nodes[i];
        if (n->fate == WH_FATE_SPECULATIVE) continue;
        if (n->state == WH_NODE_RUNNING) {
            running++;
        } else if (!is_drawn(p, n)) {
            dropped++;
            if (has_score(n) && scores.len < 30) wh_buf_printf(&scores, " %.2f", n->value);
        }
    }
    if (running || dropped) {
        begin_line(p, rail, level);
        colour(p, "2");
        if (running) wh_buf_printf(&p->text, "\xE2\x80\xA6 %zu being written%s", running, dropped ? ", " : "");
        if (dropped) wh_buf_printf(&p->text, "\xC3\x97 %zu dropped%s%s", dropped, scores.len ? ":" : "", wh_buf_str(&scores));
        colour(p, "0");
        end_line(p);
    }
    wh_buf_free(&scores);
}

static void draw_children(picture *p, wh_buf *rail, uint32_t node, uint32_t level)
{
    size_t length = rail->len, drawn = 0, done = 0;
    for (uint32_t i = p->tree->nodes[node].first_child; i; i = p->tree->nodes[i].next) drawn += is_drawn(p, &p->tree->nodes[i]);
    draw_rest(p, rail, node, level);
    for (uint32_t i = p->tree->nodes[node].first_child; i; i = p->tree->nodes[i].next) {
        if (!is_drawn(p, &p->tree->nodes[i])) continue;
        bool last = ++done == drawn;
        /* An only child follows below its parent, without a branch of its own. */
        if (drawn > 1) wh_buf_put(rail, last ? "\xE2\x94\x94 " : "\xE2\x94\x9C ", 5); /* └ ├, and the zero byte */
        node_line(p, rail, i, level);
        rail->len = length;
        if (drawn > 1) wh_buf_put(rail, last ? "  " : "\xE2\x94\x82 ", last ? 3 : 5); /* │ */
        draw_children(p, rail, i, level + 1);
        rail->len = length;
    }
}

/* ---- on the terminal ------------------------------------------------------------------------------------------------ */

/* What removes the picture before; it goes out in one write with the next one, so that nothing flickers. */
static void put_erase(wh_buf *out, wh_show_tree *s)
{
    if (s->drawn) wh_buf_printf(out, "\033[%zuA\033[J", s->drawn);
    s->drawn = 0;
}

/* Write what fits into the window: when that is not all, the deepest lines, where things happen. */
static void put_picture(wh_show_tree *s, const picture *p)
{
    const line *l = (const line *)(const void *)p->lines.data;
    size_t n = p->lines.len / sizeof *l, room = p->rows - 3, fit = n;
    uint32_t from = 0;
    while (fit > room) {
        from++;
        fit = 0;
        for (size_t i = 0; i < n; i++) fit += l[i].level >= from;
    }
    wh_buf out = {0};
    put_erase(&out, s);
    if (from) wh_buf_puts(&out, "\033[2m\xE2\x8B\xAE\033[0m\n"); /* ⋮ */
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? l[i + 1].from : p->text.len;
        if (l[i].level >= from) wh_buf_put(&out, p->text.data + l[i].from, end - l[i].from);
    }
    wh_out_note("%s", wh_buf_str(&out));
    s->drawn = fit + (from != 0);
    wh_buf_free(&out);
}

static void draw(wh_show_tree *s, picture *p)
{
    wh_buf rail = {0};
    measure(p);
    if (p->result) put_erase(&p->text, s);
    draw_children(p, &rail, 0, 1);
    if (!wh_buf_ok(&p->text) || !wh_buf_ok(&p->lines) || !wh_buf_ok(&rail)) wh_out_note("(no memory to draw the tree)\n");
    else if (p->result) wh_out_note("%s\n", wh_buf_str(&p->text));
    else put_picture(s, p);
    wh_buf_free(&rail);
    wh_buf_free(&p->text);
    wh_buf_free(&p->lines);
}

void wh_show_tree_event(wh_show_tree *s, const wh_event *e)
{
    double now = wh_clock_now();
    if (!wh_out_terminal() || now - s->shown < 0.1) return;
    s->shown = now;
    picture p = {.tree = e->tree, .winner = -1};
    draw(s, &p);
}

void wh_show_tree_done(wh_show_tree *s, const wh_event *e, int32_t winner)
{
    size_t wanted = 0;
    for (uint32_t i = 1; i < e->tree->n_nodes; i++) wanted += e->tree->nodes[i].fate != WH_FATE_SPECULATIVE;
    picture p = {.tree = e->tree, .result = e->result, .winner = winner, .full = wanted <= FULL};
    draw(s, &p);
}
