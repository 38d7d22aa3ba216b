/* A stand-in for NVIDIA's management library, so that the real Python binding (nvidia-ml-py)
 * can be tested on machines without a GPU. It plays the machine that the environment describes:
 *
 *   STANDIN_NVML         machine, as "8xH100", "4xA100,1xL40S", "1xH100:mig=7" (seven slices),
 *                        "" or unset: no GPU
 *   STANDIN_NVML_GPUS    file with further GPUs, one a line, parted by tabs: memory in MiB (0: unified),
 *                        compute capability, MIG slices, UUID ("-": made up), name
 *   STANDIN_NVML_ERRORS  functions that fail, as "nvmlDeviceGetPowerUsage=3" on every GPU or
 *                        "nvmlDeviceGetHandleByIndex_v2@2=15" on GPU 2 alone; the code HANG makes
 *                        the call never return. Codes are those of nvmlReturn_t.
 *   STANDIN_NVML_STATE   file with the load, read at each call, one line a GPU:
 *                        "<index> <used MiB> <utilization %> <watts>", and after these, as far as they are known,
 *                        "<degrees> <MHz> <bits of clock event reasons> <process>,<process>"
 *
 * Build: cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 standin_nvml.c
 * and set LD_LIBRARY_PATH to its folder before the process starts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int nvmlReturn_t;

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    HANG = 1000, /* not an NVML code: never return */
};

#define MIB (1ULL << 20)
#define MAX_GPUS 32
#define MAX_SLICES 7
#define MAX_TEXT 96
#define ANY_GPU (-1)

/* ---- the GPUs it can play ------------------------------------------------------------- */

typedef struct {
    const char *key;               /* in STANDIN_NVML */
    const char *name;              /* what the driver says */
    unsigned long long memory_mib; /* 0: unified memory, the driver reports none */
    int major, minor;              /* compute capability */
    int memory_clock_mhz, bus_width_bits;
    int idle_watts;
    int has_mig;
} Model;

static const Model MODELS[] = {
    {"H100", "NVIDIA H100 80GB HBM3", 81559, 9, 0, 2619, 5120, 70, 1},
    {"H200", "NVIDIA H200", 143771, 9, 0, 3201, 6144, 70, 1},
    {"B200", "NVIDIA B200", 183359, 10, 0, 3996, 8192, 100, 1},
    {"A100", "NVIDIA A100-SXM4-80GB", 81920, 8, 0, 1593, 5120, 40, 1},
    {"L40S", "NVIDIA L40S", 46068, 8, 9, 9001, 384, 35, 0},
    {"RTX4090", "NVIDIA GeForce RTX 4090", 24564, 8, 9, 10501, 384, 45, 0},
    {"RTX3090", "NVIDIA GeForce RTX 3090", 24576, 8, 6, 9751, 384, 35, 0},
    {"RTX4060TI8", "NVIDIA GeForce RTX 4060 Ti", 8188, 8, 9, 9001, 128, 15, 0}, /* in no list of ours */
    {"GB10", "NVIDIA GB10", 0, 12, 1, 0, 256, 14, 0},
};

typedef struct {
    const Model *model;
    int index;
    int slice;  /* -1: the whole GPU */
    int slices; /* on it */
    unsigned long long memory_mib;
    const char *uuid; /* NULL: made of its number */
} Device;

static Device gpus[MAX_GPUS];
static Device slices[MAX_GPUS][MAX_SLICES];
static int gpu_count = 0;
static int initialized = 0;

static const Model *find_model(const char *key) {
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++)
        if (strcmp(MODELS[i].key, key) == 0) return &MODELS[i];
    fprintf(stderr, "standin_nvml: no GPU is called %s\n", key);
    abort();
}

static void add_gpu(const Model *model, int slice_count) {
    int index = gpu_count++;
    gpus[index] = (Device){model, index, -1, slice_count, model->memory_mib, NULL};
    /* A 1g slice has an eighth of the memory and a seventh of the compute units. */
    for (int i = 0; i < slice_count; i++)
        slices[index][i] = (Device){model, index, i, 0, model->memory_mib / 8, NULL};
}

static void read_file(const char *path) {
    static Model models[MAX_GPUS];
    static char names[MAX_GPUS][MAX_TEXT], uuids[MAX_GPUS][MAX_TEXT];
    FILE *file = fopen(path, "r");
    if (!file) abort();
    while (gpu_count < MAX_GPUS) {
        Model *model = &models[gpu_count];
        char *name = names[gpu_count], *uuid = uuids[gpu_count];
        int slice_count = 0;
        if (fscanf(file, "%llu\t%d.%d\t%d\t%95[^\t\n]\t%95[^\n]\n", &model->memory_mib, &model->major, &model->minor,
                   &slice_count, uuid, name) != 6)
            break;
        model->name = name;
        model->idle_watts = 30;
        model->has_mig = slice_count > 0;
        add_gpu(model, slice_count);
        if (strcmp(uuid, "-") != 0) gpus[gpu_count - 1].uuid = uuid;
    }
    fclose(file);
}

static void read_machine(void) {
    const char *machine = getenv("STANDIN_NVML");
    char text[512], *rest = NULL;
    gpu_count = 0;
    snprintf(text, sizeof text, "%s", machine ? machine : "");
    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        int count = 0, slice_count = 0;
        char key[64] = "";
        if (sscanf(part, "%dx%63[^:]:mig=%d", &count, key, &slice_count) < 2) abort();
        for (int i = 0; i < count && gpu_count < MAX_GPUS; i++) add_gpu(find_model(key), slice_count);
    }
    const char *path = getenv("STANDIN_NVML_GPUS");
    if (path) read_file(path);
}

/* ---- errors on demand ----------------------------------------------------------------- */

/* Code that STANDIN_NVML_ERRORS sets for `function` on GPU `index`; SUCCESS where it sets none. */
static nvmlReturn_t wanted_error(const char *function, int index) {
    const char *errors = getenv("STANDIN_NVML_ERRORS");
    char text[1024], *rest = NULL;
    snprintf(text, sizeof text, "%s", errors ? errors : "");
    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        char *code = strchr(part, '='), *only = strchr(part, '@');
        if (!code) abort();
        *code++ = '\0';
        if (only) *only++ = '\0';
        if (strcmp(part, function) != 0 || (only && atoi(only) != index)) continue;
        return strcmp(code, "HANG") == 0 ? HANG : atoi(code);
    }
    return SUCCESS;
}

static nvmlReturn_t check(const char *function, int index) {
    nvmlReturn_t code = wanted_error(function, index);
    while (code == HANG) pause();
    return code;
}

#define CHECK(index)                                                     \
    do {                                                                 \
        nvmlReturn_t code_ = check(__func__, index);                     \
        if (code_ != SUCCESS) return code_;                              \
        if (!initialized) return UNINITIALIZED;                          \
    } while (0)

static nvmlReturn_t put_text(char *buffer, unsigned int length, const char *text) {
    if (strlen(text) + 1 > length) return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

/* ---- load ------------------------------------------------------------------------------ */

typedef struct {
    double used_mib, utilization, watts, degrees, mhz;
    unsigned long long reasons;
    char processes[MAX_TEXT]; /* ids, parted by commas */
} Load;

static Load read_load(const Device *device) {
    const Load idle = {4, 0, device->model->idle_watts, 35, 345, 1, ""};
    Load load = idle;
    const char *path = getenv("STANDIN_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    int index;
    char text[512];
    while (file && fgets(text, sizeof text, file)) {
        Load line = idle;
        if (sscanf(text, "%d %lf %lf %lf %lf %lf %llu %95s", &index, &line.used_mib, &line.utilization, &line.watts,
                   &line.degrees, &line.mhz, &line.reasons, line.processes) >= 4 &&
            index == device->index)
            load = line;
    }
    if (file) fclose(file);
    return load;
}

/* ---- the library ------------------------------------------------------------------------ */

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    nvmlReturn_t code = check(__func__, ANY_GPU);
    if (code != SUCCESS) return code;
    read_machine();
    initialized++;
    return SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) {
    if (!initialized) return UNINITIALIZED;
    initialized--;
    return SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
        case 0: return "Success";
        case 1: return "Uninitialized";
        case 3: return "Not Supported";
        case 4: return "Insufficient Permissions";
        case 6: return "Not Found";
        case 9: return "Driver Not Loaded";
        case 12: return "NVML Shared Library Not Found";
        case 15: return "GPU is lost";
        case 18: return "Driver/library version mismatch";
        default: return "Unknown Error";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    CHECK(ANY_GPU);
    const char *asked = getenv("STANDIN_NVML_DRIVER");
    return put_text(version, length, asked ? asked : "580.95.05");
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
    CHECK(ANY_GPU);
    const char *asked = getenv("STANDIN_NVML_CUDA");
    *version = asked ? atoi(asked) : 13000;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    CHECK(ANY_GPU);
    *count = (unsigned int)gpu_count;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device) {
    CHECK((int)index);
    if ((int)index >= gpu_count) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(Device *device, char *name, unsigned int length) {
    char text[2 * MAX_TEXT];
    CHECK(device->index);
    if (device->slice < 0) return put_text(name, length, device->model->name);
    snprintf(text, sizeof text, "%s MIG 1g.%llugb", device->model->name, (device->memory_mib + 512) / 1024);
    return put_text(name, length, text);
}

nvmlReturn_t nvmlDeviceGetUUID(Device *device, char *uuid, unsigned int length) {
    char text[MAX_TEXT];
    CHECK(device->index);
    if (device->uuid) return put_text(uuid, length, device->uuid);
    snprintf(text, sizeof text, "%s-%08x-0000-4000-8000-%012x", device->slice < 0 ? "GPU" : "MIG", device->index,
             device->slice + 1);
    return put_text(uuid, length, text);
}

typedef struct {
    unsigned long long total, free, used;
} Memory;

nvmlReturn_t nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    CHECK(device->index);
    if (device->model->memory_mib == 0) return NOT_SUPPORTED;
    memory->total = device->memory_mib * MIB;
    memory->used = (unsigned long long)read_load(device).used_mib * MIB;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

typedef struct {
    unsigned int gpu, memory;
} Utilization;

nvmlReturn_t nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates) {
    CHECK(device->index);
    if (device->slices > 0 || device->slice >= 0) return NOT_SUPPORTED; /* as the driver does with MIG on */
    rates->gpu = (unsigned int)read_load(device).utilization;
    rates->memory = 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(Device *device, unsigned int *milliwatts) {
    CHECK(device->index);
    *milliwatts = (unsigned int)(read_load(device).watts * 1000);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(Device *device, int sensor, unsigned int *degrees) {
    CHECK(device->index);
    if (sensor != 0) return INVALID_ARGUMENT; /* 0: the GPU's own */
    *degrees = (unsigned int)read_load(device).degrees;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(Device *device, int kind, unsigned int *mhz) {
    CHECK(device->index);
    if (kind != 1) return INVALID_ARGUMENT; /* 1: clock of the compute units */
    *mhz = (unsigned int)read_load(device).mhz;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(Device *device, unsigned long long *reasons) {
    CHECK(device->index);
    *reasons = read_load(device).reasons;
    return SUCCESS;
}

typedef struct {
    unsigned int pid;
    unsigned long long used_memory;
    unsigned int gpu_instance, compute_instance;
} ProcessInfo;

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned int *count, ProcessInfo *processes) {
    CHECK(device->index);
    Load load = read_load(device);
    char *rest = NULL;
    unsigned int found = 0, room = *count;
    for (char *part = strtok_r(load.processes, ",", &rest); part; part = strtok_r(NULL, ",", &rest), found++)
        if (processes && found < room)
            processes[found] = (ProcessInfo){(unsigned int)strtoul(part, NULL, 10), 0, 0, 0};
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(Device *device, int *major, int *minor) {
    CHECK(device->index);
    *major = device->model->major;
    *minor = device->model->minor;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(Device *device, int kind, unsigned int *mhz) {
    CHECK(device->index);
    if (kind != 2 || device->model->memory_clock_mhz == 0) return NOT_SUPPORTED; /* 2: memory clock */
    *mhz = (unsigned int)device->model->memory_clock_mhz;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryBusWidth(Device *device, unsigned int *bits) {
    CHECK(device->index);
    *bits = (unsigned int)device->model->bus_width_bits;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending) {
    CHECK(device->index);
    if (!device->model->has_mig) return NOT_SUPPORTED;
    *current = *pending = device->slices > 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned int *count) {
    CHECK(device->index);
    *count = device->model->has_mig ? MAX_SLICES : 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned int number, Device **slice) {
    CHECK(device->index);
    if ((int)number >= device->slices) return NOT_FOUND;
    *slice = &slices[device->index][number];
    return SUCCESS;
}
