// The passes around cuFFT where the mask varies along several axes: samples of one image are counted by n < samples.
// Each block does THREADS samples of one item: blockIdx.x counts blocks of an item, then items. Maps and weights repeat if
// they are fewer than the items.

__device__ inline bool place(long long samples, long long &item, long long &n) {
    const long long blocks = (samples + THREADS - 1) / THREADS;
    item = blockIdx.x / blocks;
    n = blockIdx.x % blocks * THREADS + threadIdx.x;
    return n < samples;
}

// coil_images[item, coil] = sum over sets of maps[item, set, coil] image[item, set], for `some` coils from `begin` on.
extern "C" __global__ void __launch_bounds__(THREADS)
expand(const float2 *__restrict__ image, const float2 *__restrict__ maps, float2 *__restrict__ coil_images,
       long long sets, long long coils, long long begin, long long some, long long samples, long long maps_items) {
    long long item, n;
    if (!place(samples, item, n)) return;
    maps += (item % maps_items * sets * coils + begin) * samples + n;
    for (int coil = 0; coil < some; ++coil) {
        float2 sum = make_float2(0, 0);
        for (int set = 0; set < sets; ++set)
            sum = sum + maps[(set * coils + coil) * samples] * image[(item * sets + set) * samples + n];
        coil_images[(item * some + coil) * samples + n] = sum;
    }
}

// spectrum = weights conj(spectrum), so that a forward transform leads back, to the conjugate.
extern "C" __global__ void __launch_bounds__(THREADS)
weigh(float2 *__restrict__ spectrum, const float *__restrict__ weights, long long some, long long samples,
      long long weights_items) {
    long long item, n;
    if (!place(samples, item, n)) return;
    const float weight = weights[item % weights_items * samples + n];
    for (int coil = 0; coil < some; ++coil) {
        float2 *value = spectrum + (item * some + coil) * samples + n;
        *value = weight * conjugate(*value);
    }
}

// out[item, set] += sum over coils of conj(maps[item, set, coil] coil_images[item, coil]).
extern "C" __global__ void __launch_bounds__(THREADS)
combine(const float2 *__restrict__ coil_images, const float2 *__restrict__ maps, float2 *__restrict__ out,
        long long sets, long long coils, long long begin, long long some, long long samples, long long maps_items) {
    long long item, n;
    if (!place(samples, item, n)) return;
    maps += (item % maps_items * sets * coils + begin) * samples + n;
    for (int set = 0; set < sets; ++set) {
        float2 sum = make_float2(0, 0);
        for (int coil = 0; coil < some; ++coil)
            sum = sum + maps[(set * coils + coil) * samples] * coil_images[(item * some + coil) * samples + n];
        float2 *value = out + (item * sets + set) * samples + n;
        *value = *value + conjugate(sum);
    }
}
