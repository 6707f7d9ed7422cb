#define KERNEL 5
#define STRIDE 2
#define FUNCTION qmcu_depthwise_5x5_s2_dsp
#include "depthwise_dsp_template.h"
