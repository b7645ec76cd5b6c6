/* chart: shares over FLOPs (log axis), lines with confidence bands, as SVG inside a page.
 *
 * Colours and fonts are the page's: classes c0 .. c11 (colour), d0 .. d3 (dash), band, whisker, dot, grid, tick, name, n.
 */
#ifndef WH_APP_CHART_H
#define WH_APP_CHART_H

#include "base/buf.h"

enum { WH_CHART_COLOURS = 12, WH_CHART_HEAVY = 3 }; /* dashes are 0 to 2, and this one */

typedef struct wh_chart_point {
    double x;            /* > 0 */
    double y, low, high; /* 0 .. 1 */
    size_t n;            /* samples: a small number beside the point; 0: none */
} wh_chart_point;

typedef struct wh_chart_line {
    wh_buf          name;
    size_t          colour, dash;
    wh_chart_point *points;
    size_t          n, cap;
} wh_chart_line;

typedef struct wh_chart {
    wh_chart_line *lines;
    size_t         n, cap;
    bool           failed; /* no memory */
} wh_chart; /* starts as {0} */

void wh_chart_free(wh_chart *c);
/* The line of that name and dash; a new one when there is none yet. NULL: no memory. */
wh_chart_line *wh_chart_get(wh_chart *c, const char *name, size_t colour, size_t dash);
void           wh_chart_add(wh_chart *c, wh_chart_line *line, const wh_chart_point *p);

/* Points of each line in order of x; then pictures of it. names: write names and numbers of samples where there is room. */
void wh_chart_sort(wh_chart *c);
void wh_chart_svg(wh_buf *out, const wh_chart *c, const char *class, const char *x_title, double width, double height, bool names);
/* Names with what their lines look like. */
void wh_chart_legend(wh_buf *out, const wh_chart *c);

#endif
