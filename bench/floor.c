/*
 * The least that an ordered stop or start of a fleet can take: `floor PROGRAM VERB NAME… [/ NAME…]…` runs
 * `PROGRAM VERB NAME` for all names of a layer at once, `PROGRAM status NAME` after each, and the next layer when
 * all of the one before have the status that they should: the same processes in the same order, and nothing else.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

struct child {
    pid_t pid;
    char *name;
    int isStatus;
};

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "floor: %s %s\n", what, name);
    exit(1);
}

static pid_t run(char *program, char *verb, char *name)
{
    pid_t pid;
    char *argv[] = {program, verb, name, NULL};
    if (posix_spawn(&pid, program, NULL, NULL, argv, environ))
        fail("cannot run", program);
    return pid;
}

static struct child *find(struct child *children, int count, pid_t pid)
{
    for (int at = 0; at < count; at++)
        if (children[at].pid == pid)
            return &children[at];
    fail("an unknown child has ended", "");
    return NULL;
}

static void layer(char *program, char *verb, char **names, int count)
{
    struct child *children = calloc(count, sizeof *children);
    int wanted = strcmp(verb, "start") == 0 ? 0 : 3;
    for (int at = 0; at < count; at++)
        children[at] = (struct child){.pid = run(program, verb, names[at]), .name = names[at]};
    for (int left = count; left > 0;) {
        int status;
        pid_t pid = wait(&status);
        struct child *child = find(children, count, pid);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (code != (child->isStatus ? wanted : 0))
            fail("not as it should be:", child->name);
        if (child->isStatus) {
            child->pid = 0;
            left--;
        } else {
            child->isStatus = 1;
            child->pid = run(program, "status", child->name);
        }
    }
    free(children);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage: floor PROGRAM VERB NAME… [/ NAME…]…", "");
    int first = 3;
    for (int at = 3; at <= argc; at++) {
        if (at < argc && strcmp(argv[at], "/") != 0)
            continue;
        layer(argv[1], argv[2], argv + first, at - first);
        first = at + 1;
    }
    return 0;
}
