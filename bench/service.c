/*
 * A service for benchmarks: `service start|stop|status NAME`, exit codes as LSB 5.0 has them. A start or stop
 * takes WORK_MS. The service is a state file beside the program, `service.NAME`; what it was asked for and did stands,
 * in order, in `service.ledger`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[4096];

static const char *beside(const char *program, const char *name)
{
    snprintf(path, sizeof path, "%s.%s", program, name);
    return path;
}

/* One write of one short line to a file that is open for appending: lines of several processes do not mix. */
static int note(const char *program, const char *verb, const char *name, const char *what)
{
    char line[256];
    int length = snprintf(line, sizeof line, "%s %s %s\n", verb, name, what);
    int fd = open(beside(program, "ledger"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, length) != length)
        return -1;
    return close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const char *program = argv[0], *verb = argv[1], *name = argv[2];
    if (strcmp(verb, "status") == 0) {
        if (note(program, verb, name, "asked"))
            return 4;
        return access(beside(program, name), F_OK) == 0 ? 0 : 3;
    }
    int isStart = strcmp(verb, "start") == 0;
    if (!isStart && strcmp(verb, "stop") != 0)
        return 3;
    if (note(program, verb, name, "begins"))
        return 1;
    struct timespec work = {.tv_sec = 0, .tv_nsec = WORK_MS * 1000 * 1000};
    nanosleep(&work, NULL);
    if (isStart) {
        int fd = open(beside(program, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 || close(fd))
            return 1;
    } else {
        unlink(beside(program, name));
    }
    return note(program, verb, name, "ends") ? 1 : 0;
}
