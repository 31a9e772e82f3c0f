/*
** replay.c: run a fuzz target over files, without libFuzzer.
**
**   replay/NAME FILE...
**
** A target ends the process when it finds a fault; the file it was reading is
** the last one named on standard output.
*/
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n);

/* A file's bytes in memory of just their size, so that a sanitizer sees every
** read beyond.  NULL when it cannot be read. */
static uint8_t *replayRead(const char *zFile, size_t *pn){
  FILE *p = fopen(zFile, "rb");
  uint8_t *a = 0;
  long n;
  if( p==0 ) return 0;
  if( fseek(p, 0, SEEK_END)==0 && (n = ftell(p))>=0 && fseek(p, 0, SEEK_SET)==0 ){
    a = malloc(n>0 ? (size_t)n : 1);
    if( a && fread(a, 1, (size_t)n, p)!=(size_t)n ){
      free(a);
      a = 0;
    }
    *pn = (size_t)n;
  }
  fclose(p);
  return a;
}

int main(int argc, char **argv){
  int i;
  for(i=1; i<argc; i++){
    size_t n = 0;
    uint8_t *a = replayRead(argv[i], &n);
    printf("%s\n", argv[i]);
    fflush(stdout);
    if( a==0 ){
      fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    LLVMFuzzerTestOneInput(a, n);
    free(a);
  }
  printf("%d files\n", argc-1);
  return 0;
}
