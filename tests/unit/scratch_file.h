/* A file name of its own for each test: `path`, where nothing is yet; what a test leaves there is removed. */
#ifndef SCRATCH_FILE_H
#define SCRATCH_FILE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/whet_test_XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return -1;
    close(fd);
    return unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

#endif
