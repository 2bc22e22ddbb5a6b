export * from 'microlora-training-utils';
export { default } from 'microlora-training-utils';
