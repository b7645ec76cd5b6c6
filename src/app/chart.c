#include "app/chart.h"

#include "app/html.h"
#include "app/out.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void wh_chart_free(wh_chart *c)
{
    for (size_t i = 0; i < c->n; i++) {
        wh_buf_free(&c->lines[i].name);
        free(c->lines[i].points);
    }
    free(c->lines);
    *c = (wh_chart){0};
}

/* Room for one more element; false: no memory. */
static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return true;
    size_t more = *cap ? 2 * *cap : 8;
    void *p = wh_mem_resize(*items, more, size);
    if (!p) return false;
    *items = p;
    *cap = more;
    return true;
}

wh_chart_line *wh_chart_get(wh_chart *c, const char *name, size_t colour, size_t dash)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(wh_buf_str(&c->lines[i].name), name) == 0 && c->lines[i].dash == dash) return &c->lines[i];
    if (!grow((void **)&c->lines, c->n, &c->cap, sizeof *c->lines)) {
        c->failed = true;
        return NULL;
    }
    wh_chart_line *line = &c->lines[c->n++];
    *line = (wh_chart_line){.colour = colour, .dash = dash};
    wh_buf_puts(&line->name, name);
    c->failed |= !wh_buf_ok(&line->name);
    return line;
}

void wh_chart_add(wh_chart *c, wh_chart_line *line, const wh_chart_point *p)
{
    if (!line || !(p->x > 0)) return;
    if (grow((void **)&line->points, line->n, &line->cap, sizeof *line->points)) line->points[line->n++] = *p;
    else c->failed = true;
}

static int by_x(const void *a, const void *b)
{
    double x = ((const wh_chart_point *)a)->x, y = ((const wh_chart_point *)b)->x;
    return x < y ? -1 : x > y;
}

void wh_chart_sort(wh_chart *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->lines[i].n) qsort(c->lines[i].points, c->lines[i].n, sizeof *c->lines[i].points, by_x);
}

/* ---- the sheet: from values to places ------------------------------------------------------------------------------- */

typedef struct box {
    double x0, y0, x1, y1;
} box;

typedef struct sheet {
    const wh_chart *c;
    wh_buf         *out;
    double          left, right, top, bottom;     /* of the plot */
    double          x_low, x_high, y_low, y_high; /* log10, share */
    double          y_step;
    box            *taken; /* by what is drawn: names keep away from it */
    size_t          n, cap;
} sheet;

static double place_x(const sheet *s, double x) { return s->left + (log10(x) - s->x_low) / (s->x_high - s->x_low) * (s->right - s->left); }
static double place_y(const sheet *s, double y) { return s->bottom - (y - s->y_low) / (s->y_high - s->y_low) * (s->bottom - s->top); }

static void take(sheet *s, box b)
{
    if (grow((void **)&s->taken, s->n, &s->cap, sizeof *s->taken)) s->taken[s->n++] = b;
    else s->out->failed = true;
}

static bool is_free(const sheet *s, box b)
{
    if (b.x0 < s->left || b.x1 > s->right + 4 || b.y0 < s->top - 4 || b.y1 > s->bottom) return false;
    for (size_t i = 0; i < s->n; i++)
        if (b.x0 < s->taken[i].x1 && b.x1 > s->taken[i].x0 && b.y0 < s->taken[i].y1 && b.y1 > s->taken[i].y0) return false;
    return true;
}

/* Axes that hold every point and its interval. */
static void fit(sheet *s)
{
    double least = INFINITY, most = 0, low = 1, high = 0;
    for (size_t i = 0; i < s->c->n; i++)
        for (size_t k = 0; k < s->c->lines[i].n; k++) {
            const wh_chart_point *p = &s->c->lines[i].points[k];
            least = fmin(least, p->x);
            most = fmax(most, p->x);
            low = fmin(low, p->low);
            high = fmax(high, p->high);
        }
    if (!(most > 0)) least = most = 1; /* no point at all */
    double span = fmax(log10(most / least), 0.3);
    s->x_low = log10(least) - 0.05 * span;
    s->x_high = log10(most) + 0.05 * span;
    s->y_step = high - low > 0.5 ? 0.2 : 0.1;
    s->y_low = floor(low / s->y_step + 1e-9) * s->y_step;
    s->y_high = fmax(ceil(high / s->y_step - 1e-9), 1 + round(s->y_low / s->y_step)) * s->y_step;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------------- */

/* 2e12 as "2 T" */
static void put_round(char buf[24], double x)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
    size_t u = 0;
    for (; x > 999.5 && u + 1 < sizeof units / sizeof units[0]; u++) x /= 1000;
    snprintf(buf, 24, "%.0f%s", x, units[u]);
}

static void draw_axes(const sheet *s, const char *x_title)
{
    int steps = (int)lround((s->y_high - s->y_low) / s->y_step);
    for (int i = 0; i <= steps; i++) {
        double y = s->y_low + i * s->y_step, at = place_y(s, y);
        wh_buf_printf(s->out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f%s</text>\n",
                      s->left, at, s->right, s->left - 8, at + 4, 100 * y, i == steps ? " %" : "");
    }
    static const double parts[] = {1, 2, 5};
    bool every = s->x_high - s->x_low < 1.7; /* few decades: 2 and 5 have numbers too */
    for (int decade = (int)floor(s->x_low); decade <= (int)ceil(s->x_high); decade++)
        for (size_t k = 0; k < 3; k++) {
            double x = parts[k] * pow(10, decade), at;
            char text[24];
            if (log10(x) < s->x_low || log10(x) > s->x_high) continue;
            at = place_x(s, x);
            wh_buf_printf(s->out, "<path class=\"grid%s\" d=\"M%.1f %.1fV%.1f\"/>", k ? " fine" : "", at, s->top, s->bottom);
            if (k && !every) continue;
            put_round(text, x);
            wh_buf_printf(s->out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", at, s->bottom + 18, text);
        }
    wh_buf_printf(s->out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", s->right, s->bottom + 38);
    wh_html_text(s->out, x_title);
    wh_buf_puts(s->out, "</text>\n");
}

/* The band of a line, or the whisker of a point that stands alone. */
static void draw_band(const sheet *s, const wh_chart_line *line)
{
    if (line->n == 1) {
        const wh_chart_point *p = &line->points[0];
        wh_buf_printf(s->out, "<path class=\"whisker\" d=\"M%.1f %.1fV%.1f\"/>", place_x(s, p->x), place_y(s, p->low), place_y(s, p->high));
        return;
    }
    wh_buf_puts(s->out, "<path class=\"band\" d=\"");
    for (size_t i = 0; i < line->n; i++)
        wh_buf_printf(s->out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(s, line->points[i].x), place_y(s, line->points[i].high));
    for (size_t i = line->n; i-- > 0;) wh_buf_printf(s->out, "L%.1f %.1f", place_x(s, line->points[i].x), place_y(s, line->points[i].low));
    wh_buf_puts(s->out, "Z\"/>");
}

static void draw_line(sheet *s, const wh_chart_line *line)
{
    char flops[24];
    wh_buf_printf(s->out, "<g class=\"line c%zu d%zu\">", line->colour % WH_CHART_COLOURS, line->dash);
    draw_band(s, line);
    if (line->n > 1) wh_buf_puts(s->out, "<path class=\"stroke\" d=\"");
    for (size_t i = 0; line->n > 1 && i < line->n; i++)
        wh_buf_printf(s->out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(s, line->points[i].x), place_y(s, line->points[i].y));
    if (line->n > 1) wh_buf_puts(s->out, "\"/>");
    for (size_t i = 0; i < line->n; i++) {
        const wh_chart_point *p = &line->points[i];
        wh_buf_printf(s->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\"><title>", place_x(s, p->x), place_y(s, p->y));
        wh_html_text(s->out, wh_buf_str(&line->name));
        if (p->n) wh_buf_printf(s->out, ", N = %zu", p->n);
        wh_buf_printf(s->out, ": %.1f %% [%.1f, %.1f], %s</title></circle>", 100 * p->y, 100 * p->low, 100 * p->high, wh_out_flops(flops, p->x));
    }
    wh_buf_puts(s->out, "</g>\n");
}

/* Points and the way between them are taken. */
static void take_line(sheet *s, const wh_chart_line *line)
{
    enum { PACE = 6 };
    for (size_t i = 0; i < line->n; i++) {
        double x = place_x(s, line->points[i].x), y = place_y(s, line->points[i].y);
        take(s, (box){x - 5, y - 5, x + 5, y + 5});
        if (i + 1 == line->n) break;
        double dx = place_x(s, line->points[i + 1].x) - x, dy = place_y(s, line->points[i + 1].y) - y, length = hypot(dx, dy);
        int paces = (int)(length / PACE);
        for (int k = 1; k <= paces; k++) {
            double on_x = x + dx * k * PACE / length, on_y = y + dy * k * PACE / length;
            take(s, (box){on_x - 1.5, on_y - 1.5, on_x + 1.5, on_y + 1.5});
        }
    }
}

/* Beside a point, where nothing is in the way; not at all where everything is. */
static void write_beside(sheet *s, const char *text, const char *class, size_t colour, double letter, const wh_chart_point *p)
{
    static const struct {
        double dx, dy; /* of the text's near end and its middle */
        int    side;   /* 1: to the right, -1: to the left, 0: centred */
    } spots[] = {{9, 0, 1}, {8, -10, 1}, {8, 11, 1}, {0, -13, 0}, {0, 14, 0}, {-9, 0, -1}, {-8, -10, -1}, {-8, 11, -1}, {14, -22, 1}, {14, 23, 1},
                 {-14, -22, -1}, {-14, 23, -1}};
    static const char *const anchors[] = {"end", "middle", "start"};
    double width = letter * (double)strlen(text), x = place_x(s, p->x), y = place_y(s, p->y), half = letter > 6 ? 6.5 : 5;
    for (size_t i = 0; i < sizeof spots / sizeof spots[0]; i++) {
        double at = x + spots[i].dx, middle = y + spots[i].dy, from = at - width * (1 - spots[i].side) / 2;
        box b = {from, middle - half, from + width, middle + half};
        if (!is_free(s, b)) continue;
        take(s, b);
        wh_buf_printf(s->out, "<text class=\"%s c%zu\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, colour % WH_CHART_COLOURS, at,
                      middle + half * 0.6, anchors[spots[i].side + 1]);
        wh_html_text(s->out, text);
        wh_buf_puts(s->out, "</text>\n");
        return;
    }
}

/* Has a line before this one a point with the same number in the same place? */
static bool said_before(const sheet *s, size_t line, const wh_chart_point *p)
{
    for (size_t i = 0; i < line; i++)
        for (size_t k = 0; k < s->c->lines[i].n; k++) {
            const wh_chart_point *q = &s->c->lines[i].points[k];
            if (q->n == p->n && hypot(place_x(s, q->x) - place_x(s, p->x), place_y(s, q->y) - place_y(s, p->y)) < 12) return true;
        }
    return false;
}

void wh_chart_svg(wh_buf *out, const wh_chart *c, const char *class, const char *x_title, double width, double height, bool names)
{
    if (c->failed) out->failed = true;
    sheet s = {.c = c, .out = out, .left = 44, .right = width - 12, .top = 12, .bottom = height - 46};
    fit(&s);
    wh_buf_printf(out, "<svg class=\"chart %s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"accuracy against FLOPs\">\n", class, width, height);
    draw_axes(&s, x_title);
    for (size_t i = 0; i < c->n; i++) draw_line(&s, &c->lines[i]);
    for (size_t i = 0; i < c->n; i++) take_line(&s, &c->lines[i]);
    for (size_t i = 0; names && i < c->n; i++)
        if (c->lines[i].n) write_beside(&s, wh_buf_str(&c->lines[i].name), "name", c->lines[i].colour, 6.6, &c->lines[i].points[c->lines[i].n - 1]);
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->lines[i].n; k++) {
            char text[24];
            snprintf(text, sizeof text, "%zu", c->lines[i].points[k].n);
            if (c->lines[i].points[k].n && !said_before(&s, i, &c->lines[i].points[k])) write_beside(&s, text, "n", c->lines[i].colour, 5.6, &c->lines[i].points[k]);
        }
    wh_buf_puts(out, "</svg>\n");
    free(s.taken);
}

void wh_chart_legend(wh_buf *out, const wh_chart *c)
{
    wh_buf_puts(out, "<ul class=\"legend\">\n");
    for (size_t i = 0; i < c->n; i++) {
        const wh_chart_line *line = &c->lines[i];
        wh_buf_printf(out, "<li class=\"line c%zu d%zu\"><svg viewBox=\"0 0 28 10\"><path class=\"stroke\" d=\"M1 5H27\"/><circle class=\"dot\" cx=\"14\" cy=\"5\" r=\"3.4\"/></svg> ",
                      line->colour % WH_CHART_COLOURS, line->dash);
        wh_html_text(out, wh_buf_str(&line->name));
        wh_buf_puts(out, "</li>\n");
    }
    wh_buf_puts(out, "</ul>\n");
}
