/* A stand-in for NVIDIA's driver library, so that measuring bandwidth can be tested without a GPU. Its memory is never
 * touched and its clock is made up. It plays the machine that the environment describes:
 *
 *   STANDIN_CUDA         one GPU for each number: "copy/fill" GB/s, as "3000/2800,3000/3100"; "" or unset: no GPU
 *   STANDIN_CUDA_ERRORS  functions that fail, as "cuMemAlloc_v2=2" on every GPU or "cuMemAlloc_v2@1=2" on GPU 1 alone;
 *                        the code HANG makes the call never return. Codes are those of CUresult.
 *   STANDIN_CUDA_FREE    free bytes of each GPU, by default 64 GiB
 *
 * Build: cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so.1 standin_cuda.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, HANG = 1000 };

static __thread int current = -1;     /* the GPU of this thread's context */
static __thread double spent_ms = 0;  /* by the GPU's clock */

static int gpu_count(void) {
    const char *text = getenv("STANDIN_CUDA");
    int count = text && *text ? 1 : 0;
    for (; text && *text; text++) count += *text == ',';
    return count;
}

static double rate(int gpu, int fill) {
    const char *text = getenv("STANDIN_CUDA");
    double copy = 0, write = 0;
    while (gpu-- > 0) text = strchr(text, ',') + 1;
    sscanf(text, "%lf/%lf", &copy, &write);
    return (fill ? write : copy) * 1e9;
}

static int result(const char *function) {
    const char *text = getenv("STANDIN_CUDA_ERRORS");
    while (text && *text) {
        size_t length = strlen(function);
        if (strncmp(text, function, length) == 0 && (text[length] == '=' || text[length] == '@')) {
            const char *end = text + length;
            int gpu = *end == '@' ? (int)strtol(end + 1, (char **)&end, 10) : current;
            if (gpu == current) {
                if (strncmp(end + 1, "HANG", 4) == 0)
                    for (;;) pause();
                return atoi(end + 1);
            }
        }
        text = strchr(text, ',');
        text = text ? text + 1 : NULL;
    }
    return SUCCESS;
}

int cuInit(unsigned flags) { return flags ? INVALID_VALUE : gpu_count() ? result("cuInit") : NO_DEVICE; }

int cuDeviceGetCount(int *count) { return *count = gpu_count(), result("cuDeviceGetCount"); }

int cuDeviceGet(int *device, int index) { return *device = index, index < gpu_count() ? SUCCESS : INVALID_VALUE; }

int cuDevicePrimaryCtxRetain(void **context, int device) {
    return *context = (void *)(long)(device + 1), current = device, result("cuDevicePrimaryCtxRetain");
}

int cuDevicePrimaryCtxRelease_v2(int device) { return device == current ? SUCCESS : INVALID_VALUE; }

int cuCtxSetCurrent(void *context) { return current = (int)(long)context - 1, SUCCESS; }

int cuMemGetInfo_v2(size_t *available, size_t *total) {
    const char *text = getenv("STANDIN_CUDA_FREE");
    *total = 64UL << 30;
    *available = text ? strtoul(text, NULL, 10) : *total;
    return result("cuMemGetInfo_v2");
}

int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    return *address = 0x700000000000ULL + bytes, bytes ? result("cuMemAlloc_v2") : INVALID_VALUE;
}

int cuMemFree_v2(unsigned long long address) { return address ? SUCCESS : INVALID_VALUE; }

int cuMemcpyDtoDAsync_v2(unsigned long long target, unsigned long long source, size_t bytes, void *stream) {
    if (!target || !source || stream) return INVALID_VALUE;
    return spent_ms += 2.0 * bytes / rate(current, 0) * 1e3, result("cuMemcpyDtoDAsync_v2");
}

int cuMemsetD32Async(unsigned long long target, unsigned value, size_t words, void *stream) {
    if (!target || !value || stream) return INVALID_VALUE;
    return spent_ms += 4.0 * words / rate(current, 1) * 1e3, result("cuMemsetD32Async");
}

int cuEventCreate(double **event, unsigned flags) {
    return *event = calloc(1, sizeof(double)), flags ? INVALID_VALUE : SUCCESS;
}

int cuEventDestroy_v2(double *event) { return free(event), SUCCESS; }

int cuEventRecord(double *event, void *stream) { return *event = spent_ms, stream ? INVALID_VALUE : SUCCESS; }

int cuEventSynchronize(double *event) { return event ? result("cuEventSynchronize") : INVALID_VALUE; }

int cuEventElapsedTime(float *ms, double *begin, double *end) {
    return *ms = (float)(*end - *begin), result("cuEventElapsedTime");
}
